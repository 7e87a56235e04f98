#!/usr/bin/env bash
# Makes the certificates and kubeconfig files of one cluster in $STATE/pki. They live as long as the cluster, at most 30 days.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"

umask 077
mkdir -p "$STATE/pki"
cd "$STATE/pki"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

signed() { # signed NAME SUBJECT [SUBJECT-ALT-NAMES]
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  {
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [ -z "${3:-}" ] || echo "subjectAltName=$3"
  } >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}

kubeconfig() { # kubeconfig NAME SERVER: whole in itself, for it may be copied elsewhere
  cat <<YAML
apiVersion: v1
kind: Config
current-context: leno-cluster
contexts:
- name: leno-cluster
  context: {cluster: leno-cluster, user: $1}
clusters:
- name: leno-cluster
  cluster:
    server: https://$2:6443
    certificate-authority-data: $(base64 -w0 ca.crt)
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$1.crt")
    client-key-data: $(base64 -w0 "$1.key")
YAML
}

key ca
openssl req -x509 -new -key ca.key -subj "/CN=leno-cluster" -days 30 -out ca.crt \
  -addext "keyUsage=critical,keyCertSign,digitalSignature"
signed apiserver "/CN=kube-apiserver" "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$NODE_IP"
signed admin "/O=system:masters/CN=leno-cluster-admin"
signed kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client"
signed kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:127.0.0.1,IP:$NODE_IP"
for user in kube-controller-manager kube-scheduler kube-proxy; do signed "$user" "/CN=system:$user"; done
for user in kubelet kube-controller-manager kube-scheduler kube-proxy; do kubeconfig "$user" 127.0.0.1 >"$user.kubeconfig"; done
kubeconfig admin "$NODE_IP" >"$ADMIN"
openssl genrsa -out service-account.key 2048 2>/dev/null
openssl rsa -in service-account.key -pubout -out service-account.pub 2>/dev/null
