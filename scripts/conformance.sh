#!/usr/bin/env bash
# Runs the official Gateway API conformance suite, its mesh profiles, against the mesh that is installed in the cluster that
# KUBECONFIG names, and prints a table of what passed. It fails where a test does.
#
# The suite, its definitions of kinds and its echo server are Go modules: what is built of them is kept outside of the
# checkout, so that the next run finds it. Usage:
#   conformance.sh build          only builds what is missing (minutes on two cores the first time)
#   conformance.sh run [TEST]     builds, installs the kinds where there are none, and runs all tests or one
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=cluster/settings.sh
. "$here/cluster/settings.sh"
what=${1:-run} only=${2:-}
module=$here/e2e-cluster/conformance
command -v go >/dev/null || die "Go is missing: it builds the suite from source. Install Go 1.26 or newer (https://go.dev/dl)"

source_of() { # source_of MODULE: where Go keeps its source, downloaded where it is not there yet
  (cd "$module" && go mod download -json "$1" | sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p')
}

# The image that the suite's pods ask for, and the module that it is built from.
suite=$(source_of sigs.k8s.io/gateway-api/conformance)
image=$(grep -ho 'registry.k8s.io/gateway-api/echo-advanced:[^ ]*' "$suite/mesh/manifests.yaml" | sort -u)
echo_module=istio.io/istio echo_version=v0.0.0-20260827124520-eed52ebb66ad
sum=$(cat "$module"/go.mod "$module"/*.go | sha256sum | cut -c1-16)
built=$CACHE/conformance/$sum
archive=$CACHE/conformance/echo-$echo_version.tar

build_suite() {
  [ ! -x "$built/conformance.test" ] || return 0
  say "building with go: the Gateway API conformance suite; the first time this takes some minutes"
  mkdir -p "$built"
  (
    cd "$module"
    nice -n "$BUILD_NICE" "$here/scripts/go.sh" test -p "$BUILD_JOBS" -c -o "$built/conformance.new" .
  )
  mv "$built/conformance.new" "$built/conformance.test"
}

# The image has the server, the client that the suite runs in the pods, and a certificate for the server's TLS port.
build_echo() {
  [ ! -f "$archive" ] || return 0
  say "building with go: the echo server of the suite's pods; the first time this takes some minutes"
  local work
  work=$(mktemp -d)
  printf 'module leno-conformance-echo\ngo 1.26.0\nrequire %s %s\n' "$echo_module" "$echo_version" >"$work/go.mod"
  # Kubernetes' libraries as the cluster's programs have them, which may have been compiled already.
  printf 'require k8s.io/%s v0.'"${KUBERNETES#v1.}"'\n' api apiextensions-apiserver apimachinery client-go >>"$work/go.mod"
  (
    cd "$work"
    mkdir -p root/usr/local/bin
    GOFLAGS=-mod=mod nice -n "$BUILD_NICE" "$here/scripts/go.sh" build -p "$BUILD_JOBS" -o root/usr/local/bin/ \
      "$echo_module/pkg/test/echo/cmd/server" "$echo_module/pkg/test/echo/cmd/client"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=echo \
      -keyout root/cert.key -out root/cert.crt 2>/dev/null
    chmod 0644 root/cert.key
  )
  pack_echo "$work"
  rm -rf "$work"
}

# In the form of `docker save`.
pack_echo() { # pack_echo FOLDER
  local work=$1 config
  mkdir "$work/image"
  tar --create --file "$work/image/layer.tar" --directory "$work/root" --owner=0 --group=0 --mtime=@0 .
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/usr/local/bin/server"],"Env":["PATH=/usr/local/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(go env GOARCH)" "$(sha256sum "$work/image/layer.tar" | cut -d' ' -f1)" >"$work/config"
  config=$(sha256sum "$work/config" | cut -d' ' -f1).json
  mv "$work/config" "$work/image/$config"
  printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$image" >"$work/image/manifest.json"
  tar --create --file "$archive.new" --directory "$work/image" manifest.json "$config" layer.tar
  mv "$archive.new" "$archive"
}

# Nothing where some version of the kinds is installed already: its owner decides.
install_kinds() {
  kubectl get crd httproutes.gateway.networking.k8s.io >/dev/null 2>&1 && return 0
  local kinds
  kinds=$(source_of sigs.k8s.io/gateway-api)/config/crd/standard
  kubectl apply --server-side -f "$kinds" >/dev/null
  kubectl wait --for=condition=Established --timeout=60s crd/httproutes.gateway.networking.k8s.io \
    crd/grpcroutes.gateway.networking.k8s.io >/dev/null
}

mkdir -p "$CACHE/conformance"
exec 9>"$CACHE/conformance/.lock"
flock 9
build_suite
build_echo
exec 9>&-
[ "$what" = run ] || exit 0

[ -n "${KUBECONFIG:-}" ] || die "KUBECONFIG is not set: eval \"\$(cluster/up.sh)\", or name a cluster whose contents may be changed"
PATH="$("$here/cluster/programs.sh" kubectl):$PATH"
kubectl get namespace leno-system >/dev/null 2>&1 || die "the mesh is not installed: leno install --set profile=demo -y"
# Another cluster than ours gets the image where it gets the others.
[ "$KUBECONFIG" != "$ADMIN" ] || "$here/cluster/load.sh" "$archive"
install_kinds
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/Cargo.toml" | head -n 1)
log=$built/last.log
status=0
LENO_VERSION=v$version "$built/conformance.test" -test.v -test.run '^TestConformance$' -test.timeout 20m \
  ${only:+--run-test "$only"} >"$log" 2>&1 || status=$?
grep '^CONFORMANCE' "$log" | cut -d' ' -f2- || true
if [ "$status" != 0 ]; then
  grep -E '^ *--- FAIL|panic:|Error:|Error Trace:' "$log" | head -n 60 >&2 || true
  say "the suite's log is $log"
fi
exit "$status"
