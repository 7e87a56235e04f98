#!/usr/bin/env bash
# Builds the released programs into target/release: release.sh [ARGUMENT of cargo build...]. `release.sh key` says what the names in a
# profile depend on.
#
# What is on the path of a request is compiled for speed and all else for size. The compiler knows which is which from a profile,
# crates/leno-proxy/release.profdata, that `make pgo` writes: what sidecars ran under the loads of `make bench`. It finds functions
# by names that depend on the compiler, on which packages are built together and on how: hence one place that builds them. What it
# does not know, or what has changed since, is compiled for size.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(-p leno-cli -p leno-control -p leno-proxy -p leno-viz -p leno-shop)
# By default a package that something is said of is not stripped.
speed=(--config profile.release.package.leno-proxy.opt-level=3 --config 'profile.release.package.leno-proxy.strip="symbols"')

profile=$PWD/crates/leno-proxy/release.profdata

key() {
  {
    rustc -V
    echo "${speed[@]}"
    sed -n '/^\[profile\.release/,$p' Cargo.toml
    # Without the places of the workspace's own packages.
    cargo tree --quiet --locked --edges normal,build --prefix none --format '{p} {f}' "${packages[@]}" | sed 's/ (\/[^)]*)//' | sort -u
  } | sha256sum | cut -d' ' -f1
}
if [ "${1:-}" = key ]; then
  key
  exit
fi

# The caller's flags first.
read -ra flags <<<"${RUSTFLAGS:-}"
# LENO_PGO=count: sidecars that count what they run, into the folder LENO_PGO_RAW.
case ${LENO_PGO:-use} in
count) flags+=("-Cprofile-generate=$LENO_PGO_RAW") ;;
use)
  # Under a name that says what is in it, and written once: a later time of change would have Cargo build everything anew, and a
  # checkout gives its files the time at which it was made.
  mkdir -p target
  named=$PWD/target/profile-$(sha256sum <"$profile" | cut -c1-16).profdata
  cmp -s "$profile" "$named" || cp "$profile" "$named"
  # Code that the loads do not reach is made small, and inlined less than the compiler does where all is (50).
  flags+=("-Cprofile-use=$named" -Cllvm-args=-pgso-lwss-only=false -Cllvm-args=-inline-threshold=18)
  if [ "$(key)" != "$(cat "$profile.key")" ]; then
    echo "release.sh: note: the profile was made with another compiler or other packages, so little of it applies: the programs work," \
      "but not at their speed. \`make pgo\` makes it anew." >&2
  fi
  ;;
*)
  echo "release.sh: LENO_PGO is '$LENO_PGO'; it can be use or count" >&2
  exit 2
  ;;
esac

# Where this machine's linker and loader know them: what is hot lies together, functions that are the same stand once, and the table of
# what is moved at the start takes 10 KB instead of 470 (glibc from 2.36 on).
trial=$(mktemp)
for option in -Wl,-z,keep-text-section-prefix -Wl,--icf=all -Wl,-z,pack-relative-relocs; do
  if { rustc -Clink-arg="$option" -o "$trial" - <<<'fn main() {}' && "$trial"; } 2>/dev/null; then
    flags+=("-Clink-arg=$option")
  fi
done
rm -f "$trial"

# No panic passes through aws-lc's C code, so nobody reads how its frames are unwound: 80 KB.
export AWS_LC_SYS_CFLAGS="${AWS_LC_SYS_CFLAGS:-${CFLAGS:-}} -fno-asynchronous-unwind-tables -fno-unwind-tables"

# A folder's name may hold a space, so this instead of RUSTFLAGS.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
exec cargo build --release --locked "${packages[@]}" "${speed[@]}" "$@"
