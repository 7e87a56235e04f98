# Names, versions, addresses and folders that the cluster's scripts share. To be sourced.
# shellcheck shell=bash disable=SC2034

KUBERNETES=${LENO_KUBERNETES:-v1.37.2}
COREDNS=${LENO_COREDNS:-v1.14.6}
HELM=${LENO_HELM:-v3.22.0}
CACHE=${LENO_CACHE:-$HOME/.cache/leno}
PROGRAMS=$CACHE/kubernetes/$KUBERNETES
# Everything that a running cluster writes; removed by down.sh.
STATE=$CACHE/cluster
ADMIN=$STATE/kubeconfig

# How hard the first build may press on the machine.
BUILD_NICE=${LENO_BUILD_NICE:-10}
BUILD_JOBS=${LENO_BUILD_JOBS:-$(nproc)}

# The pair of addresses that joins this machine and the node, and the networks inside.
HOST_IP=${LENO_CLUSTER_HOST_IP:-172.29.37.1}
NODE_IP=${LENO_CLUSTER_NODE_IP:-172.29.37.2}
NODE=leno-node
LINK=leno-cluster
PODS=10.244.0.0/24
SERVICES=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_SERVICE_IP=10.96.0.10
CGROUP=leno-cluster
# In the node's own /run, which the machine does not see.
CONTAINERD=/run/containerd/containerd.sock

say() { echo "$*" >&2; }
die() {
  echo "cluster: $*" >&2
  exit 1
}

# The node's first process as this machine sees it; nothing where the node does not run.
node_pid() {
  local pid
  pid=$(cat "$STATE/pid" 2>/dev/null) || return 1
  # A number may have been given to another process since: ours has the state folder among its arguments.
  tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "$STATE" && echo "$pid"
}

# Runs a command where the node's programs run: nothing there is seen from outside, not even files in /run.
in_node() {
  local pid
  pid=$(node_pid) || die "the cluster is not running (make cluster)"
  nsenter --target "$pid" --mount --net --pid --uts --ipc -- "$@"
}

admin() { "$PROGRAMS/kubectl" --kubeconfig "$ADMIN" "$@"; }
