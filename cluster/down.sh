#!/usr/bin/env bash
# Ends the cluster and removes all it left: processes, containers, mounts, interfaces, rules, cgroups, files. Also after a
# run that was killed. What was built stays in the cache. Usage: down.sh [--quiet]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"
quiet=${1:-}

# The deepest first: a cgroup with children cannot be removed, and one whose processes have just ended takes a moment.
remove_cgroups() {
  local root
  for root in /sys/fs/cgroup/"$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
    [ -d "$root" ] || continue
    for _ in {1..50}; do
      find "$root" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      [ -d "$root" ] || break
      sleep 0.1
    done
    [ ! -d "$root" ] || say "still there: $root (processes in it: $(find "$root" -name cgroup.procs -exec cat {} + | tr '\n' ' '))"
  done
}

# What is still there of the cluster, a line each.
leftovers() {
  ip -brief link show dev "$LINK" 2>/dev/null || true
  grep -F "$STATE" /proc/mounts || true
  find /sys/fs/cgroup -maxdepth 2 -name "$CGROUP" || true
  # Programs of the node have the state folder or a kubeconfig in it among their arguments.
  local process
  for process in /proc/[0-9]*; do
    if tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qE "^($PROGRAMS/|[^ ]* --?config $STATE/|bash $here/node.sh)"; then
      echo "process ${process#/proc/}: $(tr '\0' ' ' <"$process/cmdline" | cut -c 1-100)"
    fi
  done
}

[ "$(id -u)" = 0 ] || die "this needs root, as bringing it up did"
if pid=$(node_pid); then
  # All else lives in the namespaces of this process: the kernel ends it with them.
  kill -KILL "$pid"
  while [ -e "/proc/$pid" ]; do sleep 0.05; done
fi
ip link delete "$LINK" 2>/dev/null || true
remove_cgroups
for folder in /var/lib/kubelet /var/lib/cni; do
  [ ! -d "$folder" ] || rmdir --ignore-fail-on-non-empty "$folder"
done
# Nothing is mounted below the state folder in this namespace; `--one-file-system` makes sure that nothing else is touched.
rm -rf --one-file-system "$STATE"
left=$(leftovers)
[ -z "$left" ] || die "something of the cluster is left:
$left"
[ "$quiet" = --quiet ] || say "the cluster is down"
