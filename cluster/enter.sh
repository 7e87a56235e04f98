#!/usr/bin/env bash
# Runs a command among the node's programs (a shell without one), to look at processes, interfaces, rules and containers:
#   cluster/enter.sh ctr -n k8s.io containers ls
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"
[ $# -gt 0 ] || set -- bash
in_node "$@"
