#!/usr/bin/env bash
# The node's first process, in namespaces of its own (mounts, processes, network): it starts the node's programs and ends as soon as
# one of them does; with it, the kernel ends all of them, their containers, mounts, interfaces and packet filter rules.
# Started by up.sh with the state folder as its argument.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"
pki=$STATE/pki
declare -A names=()

start() { # start NAME COMMAND…
  local name=$1
  shift
  "$@" >"$STATE/log/$name.log" 2>&1 </dev/null &
  names[$!]=$name
}

until_ok() { # until_ok SECONDS WHAT COMMAND…
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || die "$what: not within the time"
    sleep 0.1
  done
}

# Folders that Kubernetes' programs have by heart are the cluster's own here; the machine's stay as they are.
own_mounts() {
  mount --make-rshared /
  mount -t proc proc /proc
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/containerd /run/netns
  local folder
  for folder in lib/kubelet lib/cni log; do
    mkdir -p "$STATE/var/$folder"
    mount --bind "$STATE/var/$folder" "/var/$folder"
  done
  # The node itself asks the cluster's DNS, so that up.sh can see it answer.
  printf 'nameserver %s\noptions timeout:1 attempts:1\n' "$DNS_SERVICE_IP" >"$STATE/resolv.conf"
  mount --bind "$STATE/resolv.conf" "$(realpath -m /etc/resolv.conf)"
  : >"$STATE/resolv-pods.conf"
}

# The kubelet sets kernel settings of the whole machine. It gets files in their place.
own_settings() {
  local setting
  for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
    kernel/keys/root_maxbytes; do
    mkdir -p "$STATE/sys/$(dirname "$setting")"
    cat "/proc/sys/$setting" >"$STATE/sys/$setting"
    mount --bind "$STATE/sys/$setting" "/proc/sys/$setting"
  done
}

own_network() {
  hostname "$NODE"
  ip link set lo up
  until_ok 20 "the link to the machine" ip link show dev eth0
  ip address add "$NODE_IP/30" dev eth0
  ip link set eth0 up
  ip route add default via "$HOST_IP"
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

control_plane() {
  # Nothing here must survive a power cut, so etcd need not wait for the disk.
  start etcd etcd --data-dir "$STATE/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
    --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380
  until_ok 30 "etcd" bash -c 'exec 3<>/dev/tcp/127.0.0.1/2379'
  start kube-apiserver "$PROGRAMS/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 \
    --advertise-address="$NODE_IP" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-client-certificate="$pki/kubelet-client.crt" \
    --kubelet-client-key="$pki/kubelet-client.key" --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/service-account.pub" --service-account-signing-key-file="$pki/service-account.key" \
    --service-cluster-ip-range="$SERVICES" --authorization-mode=Node,RBAC --allow-privileged=true \
    --enable-admission-plugins=NodeRestriction
  until_ok 120 "kube-apiserver" "$PROGRAMS/kubectl" --kubeconfig "$ADMIN" get --raw /readyz
  start kube-controller-manager "$PROGRAMS/kube-controller-manager" --kubeconfig="$pki/kube-controller-manager.kubeconfig" \
    --service-account-private-key-file="$pki/service-account.key" --root-ca-file="$pki/ca.crt" --cluster-cidr="$PODS" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --use-service-account-credentials=true --leader-elect=false
  start kube-scheduler "$PROGRAMS/kube-scheduler" --kubeconfig="$pki/kube-scheduler.kubeconfig" --leader-elect=false
}

workers() {
  start kubelet "$PROGRAMS/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig" \
    --hostname-override="$NODE" --node-ip="$NODE_IP" --cert-dir="$pki"
  start kube-proxy "$PROGRAMS/kube-proxy" --config="$STATE/kube-proxy.yaml" --hostname-override="$NODE"
}

import_images() {
  until_ok 30 "containerd" ctr --address "$CONTAINERD" version
  local archive
  for archive in "$PROGRAMS"/*.tar; do ctr --address "$CONTAINERD" --namespace k8s.io images import "$archive" >/dev/null; done
}

own_mounts
own_settings
own_network
start containerd containerd --config "$STATE/containerd.toml"
control_plane
import_images
workers
touch "$STATE/started"

while true; do
  status=0
  wait -n -p ended || status=$?
  if [ -n "${names[${ended:-0}]:-}" ]; then
    echo "${names[$ended]} ended with status $status; see $STATE/log/${names[$ended]}.log" | tee "$STATE/ended"
    exit 1
  fi
done
