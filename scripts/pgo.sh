#!/usr/bin/env bash
# Makes the profile that release builds are guided by anew: crates/leno-proxy/release.profdata. Sidecars that count what they run get
# every load of `make bench`, and some as applications make them. As root, after `make build`; some 8 minutes.
#
# To be done when a dependency of leno-proxy, the compiler or the profile in Cargo.toml changed (scripts/release.sh says so), or what is on
# the path of a request. Functions that changed are not guided until then.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/target/pgo
profile=$PWD/crates/leno-proxy/release.profdata
profdata=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/llvm-profdata
# Functions of which no part ran more often than this say nothing of a request. Without them the file is a fifth.
often=1000

scripts/need.sh bench
scripts/need.sh pgo
echo "pgo: building sidecars that count"
LENO_PGO=count LENO_PGO_RAW=$work/raw CARGO_TARGET_DIR=$work scripts/release.sh --bin leno-proxy
cargo build --profile quick --locked -p leno-bench
mkdir -p "$work/counting"
cp target/release/leno{,-control,-viz,-shop} "$work/release/leno-proxy" "$work/counting/"

# What the compilers' own helpers have counted goes. The file is made by root; the sidecars, which are not, add to it.
rm -rf "$work/raw" && mkdir -p "$work/raw" && chmod 777 "$work/raw"
"$work/counting/leno-proxy" --version >/dev/null
chmod 666 "$work/raw"/*.profraw
LENO_FORTIO=${LENO_CACHE:-$HOME/.cache/leno}/bin/fortio target/quick/leno-bench train --seconds 3 --programs "$work/counting"

"$profdata" merge --sparse --text -o "$work/all.txt" "$work/raw"/*.profraw
# A record: name, hash, the number of its counters, the counters; before the first one, what kind of profile it is.
awk -v RS= -v ORS='\n\n' -v often="$often" '
  NR == 1 { head = substr($0, 1, index($0, ":ir\n") + 3); printf "%s", head; $0 = substr($0, length(head) + 1) }
  {
    split($0, line, "\n")
    for (at = 1; line[at] != "# Num Counters:"; at++);
    most = 0
    for (i = at + 3; i < at + 3 + line[at + 1]; i++) if (line[i] + 0 > most) most = line[i] + 0
    if (most > often) print
  }' "$work/all.txt" >"$work/hot.txt"
"$profdata" merge --sparse -o "$profile" "$work/hot.txt"
scripts/release.sh key >"$profile.key"
echo "pgo: $profile has $(stat -c %s "$profile") bytes; make build uses it"
