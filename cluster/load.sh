#!/usr/bin/env bash
# Gives image archives to the cluster's containerd, as a registry would. Usage: load.sh [ARCHIVE…]   (target/images/*.tar)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"
archives=("$@")
[ $# -gt 0 ] || archives=("$here"/../target/images/*.tar)

for archive in "${archives[@]}"; do
  [ -f "$archive" ] || die "$archive does not exist (make images)"
  # Through its input: the node may not see the folder that the archive is in.
  in_node ctr --address "$CONTAINERD" --namespace k8s.io images import - <"$archive" >/dev/null
  say "loaded $(basename "$archive" .tar)"
done
