#!/usr/bin/env bash
# Runs fuzz targets one after the other. Usage: fuzz.sh [TARGET...]; without one, all of them. FUZZ_SECONDS each (60).
#
# A target is built with the crates that it names (`required-features` in fuzz/Cargo.toml): all of them with the sanitizer
# take a quarter of an hour, those of HTTP a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/need.sh fuzz

required() { # required TARGET: its features, or failure where there is no such target
  awk -v target="$1" '
    /^\[\[bin\]\]/ { inside = 0 }
    $1 == "name" && $3 == "\"" target "\"" { inside = found = 1 }
    inside && $1 == "required-features" { gsub(/.*\[|\].*|"|,/, ""); print }
    END { exit !found }' fuzz/Cargo.toml
}

targets=("$@")
if [ $# -eq 0 ]; then
  mapfile -t targets < <(cargo +nightly fuzz list)
fi
features=$(for target in "${targets[@]}"; do
  required "$target" || { echo "no fuzz target \"$target\"; there are: $(cargo +nightly fuzz list | xargs)" >&2; exit 1; }
done | xargs -n 1 | sort -u | xargs)

for target in "${targets[@]}"; do
  echo "fuzz $target"
  cargo +nightly fuzz run --features "$features" "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -rss_limit_mb=2048
done
