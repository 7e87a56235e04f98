#!/usr/bin/env bash
# Builds leno-proxy for speed and guided by a profile, into target/pgo/guided: what it would cost if its program might be
# larger (docs/performance.md). Sidecars that count what they run get every load of `make bench` once; the compiler learns
# from what they counted. As root, after `make build`; some 12 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/target/pgo
raw=$work/raw
cache=${LENO_CACHE:-$HOME/.cache/leno}

# All packages of the release, though one program of them: which features a crate has depends on who else uses it, and the
# names by which functions are found in the profile depend on the features. So does what is said of a package here.
proxy() { # proxy FLAGS: leno-proxy with these flags of rustc
  RUSTFLAGS="$1" CARGO_TARGET_DIR=$work cargo build --release --locked --bin leno-proxy \
    -p leno-cli -p leno-control -p leno-proxy -p leno-viz -p leno-shop \
    --config profile.release.package.leno-proxy.opt-level=3 --config 'profile.release.package.leno-proxy.strip="symbols"'
}

echo "pgo: building sidecars that count"
proxy "-Cprofile-generate=$raw"
cargo build --profile quick --locked -p leno-bench
mkdir -p "$work/counting" "$work/guided"
cp target/release/leno{,-control,-viz,-shop} "$work/release/leno-proxy" "$work/counting/"
cp target/release/leno{,-control,-viz,-shop} "$work/guided/"

# What the compilers' own helpers have counted goes. The file is made by root; the sidecars, which are not, add to it.
rm -rf "$raw" && mkdir -p "$raw" && chmod 777 "$raw"
"$work/counting/leno-proxy" --version >/dev/null
chmod 666 "$raw"/*.profraw
LENO_FORTIO=$cache/bin/fortio target/quick/leno-bench train --seconds 3 --programs "$work/counting"
"$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/llvm-profdata" merge --sparse -o "$work/profile" "$raw"/*.profraw

echo "pgo: building what has learned from them"
# Code that the loads do not reach is made small, and inlined a little less than the compiler does where all is (50).
proxy "-Cprofile-use=$work/profile -Cllvm-args=-pgso-lwss-only=false -Cllvm-args=-inline-threshold=40"
cp "$work/release/leno-proxy" "$work/guided/"
echo "pgo: $work/guided/leno-proxy has $(stat -c %s "$work/guided/leno-proxy") bytes, target/release/leno-proxy $(stat -c %s target/release/leno-proxy)"
echo "pgo: compare them by make bench BENCH='--programs target/pgo/guided --pairs HAProxy,Leno'"
