#!/usr/bin/env bash
# Brings up a real Kubernetes of one node on this machine, for tests and for trying things out. Does nothing where it already runs.
#
# The node lives in namespaces of its own (mounts, processes, network, host name), as in a container: nothing of it is
# left when its first process ends, and the machine's own packet filter, interfaces and settings stay untouched.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"

last=$EPOCHREALTIME
step() { # step TEXT: says how long what has just been done took
  local now=$EPOCHREALTIME
  awk -v a="$last" -v b="$now" -v what="$1" 'BEGIN { printf "%7.1f s  %s\n", b - a, what }' >&2
  last=$EPOCHREALTIME
}

ready() { admin wait --for=condition=Ready "node/$NODE" --timeout=1s && admin get --raw /readyz; } >/dev/null 2>&1

finish() {
  echo "export KUBECONFIG=$ADMIN"
  exit 0
}

write_settings() {
  cat >"$STATE/containerd.toml" <<TOML
version = 2
root = "$STATE/containerd"
state = "/run/containerd/state"
[grpc]
  address = "$CONTAINERD"
[plugins."io.containerd.grpc.v1.cri"]
  # Without the capability SYS_RESOURCE a process cannot lower its OOM score, and no pod would start.
  restrict_oom_score_adj = true
  sandbox_image = "docker.io/leno/cluster-pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
TOML
  cat >"$STATE/cni/10-leno.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "leno", "plugins": [
  {"type": "ptp", "ipMasq": true, "ipam": {"type": "host-local", "dataDir": "/run/cni",
    "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  cat >"$STATE/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $STATE/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/kubelet.crt
tlsPrivateKeyFile: $STATE/pki/kubelet.key
containerRuntimeEndpoint: unix://$CONTAINERD
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
clusterDNS: [$DNS_SERVICE_IP]
clusterDomain: cluster.local
resolvConf: $STATE/resolv-pods.conf
# A full disk or little memory of the machine must not evict the pods under test.
evictionHard: {memory.available: 0%, nodefs.available: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
maxPods: 200
registryPullQPS: 0
eventRecordQPS: 0
serializeImagePulls: false
YAML
  cat >"$STATE/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $STATE/pki/kube-proxy.kubeconfig}
mode: iptables
clusterCIDR: $PODS
# These would be settings of the whole machine.
conntrack: {maxPerCore: 0, min: 0}
# Scenes make Services all the time and are waiting for them.
iptables: {minSyncPeriod: 100ms}
YAML
}

make_cgroups() {
  local controller
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$CGROUP"
    return
  fi
  for controller in /sys/fs/cgroup/*/; do
    if mountpoint -q "$controller" && [ ! -L "${controller%/}" ]; then mkdir -p "$controller$CGROUP"; fi
  done
}

start_node() {
  local parent pid
  # Bind mounts need a place to be; down.sh removes the folders where they stayed empty.
  mkdir -p /var/lib/kubelet /var/lib/cni
  setsid unshare --mount --net --pid --uts --ipc --fork --kill-child --propagation private \
    bash "$here/node.sh" "$STATE" >"$STATE/log/node.log" 2>&1 </dev/null &
  parent=$!
  for _ in {1..100}; do
    # `setsid` becomes `unshare`, which has one child: the node's first process.
    read -r pid <"/proc/$parent/task/$parent/children" 2>/dev/null && [ -n "$pid" ] && break
    sleep 0.05
  done
  [ -n "${pid:-}" ] || die "the node did not start: $(cat "$STATE/log/node.log")"
  echo "$pid" >"$STATE/pid"
  until [ "$(readlink "/proc/$pid/ns/net" 2>/dev/null)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
  ip link add "$LINK" type veth peer name eth0 netns "$pid"
  ip address add "$HOST_IP/30" dev "$LINK"
  ip link set "$LINK" up
}

# await SECONDS WHAT COMMAND…
await() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ ! -f "$STATE/ended" ] || die "$(cat "$STATE/ended")"
    node_pid >/dev/null || die "the node ended: $(tail -n 5 "$STATE/log/node.log")"
    [ "$SECONDS" -lt "$end" ] || die "$what: not within the time. Logs are in $STATE/log"
    sleep 0.2
  done
  step "$what"
}

[ "$(uname -s)" = Linux ] || die "this needs Linux; elsewhere use kind or k3d and set KUBECONFIG"
[ "$(id -u)" = 0 ] || die "this needs root: a node mounts file systems, makes network interfaces and cgroups. \
Run it as root, or use a cluster of your own (kind, k3d) and set KUBECONFIG"
mkdir -p "$CACHE"
exec 8>"$CACHE/cluster.lock"
flock 8
if node_pid >/dev/null && [ -f "$STATE/complete" ] && ready; then
  say "the cluster is running"
  finish
fi

"$here/../scripts/need.sh" cluster >&2
"$here/programs.sh" >/dev/null
for image in "pause 65535" "coredns 65532"; do
  read -r name uid <<<"$image"
  [ "$PROGRAMS/$name.tar" -nt "$PROGRAMS/$name" ] ||
    "$here/archive.sh" "$PROGRAMS/$name" "docker.io/leno/cluster-$name:1" "$uid" "$PROGRAMS/$name.tar"
done
step "programs"
"$here/down.sh" --quiet
mkdir -p "$STATE"/{log,cni}
chmod 700 "$STATE"
"$here/certificates.sh"
write_settings
make_cgroups
step "certificates and settings"
start_node 8>&-
await 150 "kube-apiserver, etcd, containerd" test -f "$STATE/started"
admin apply --server-side -f "$here/manifests/coredns.yaml" >/dev/null
await 60 "node is Ready" admin wait --for=condition=Ready "node/$NODE" --timeout=5s
await 90 "DNS answers" in_node getent hosts kubernetes.default.svc.cluster.local
touch "$STATE/complete"
finish
