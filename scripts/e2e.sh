#!/usr/bin/env bash
# Runs the end-to-end tests one after the other. A scene that fails is run a second time, and said so: the machines that
# run this are small and shared, and the scenes measure time.
set -uo pipefail
cd "$(dirname "$0")/.."
cargo test -p leno-e2e --locked --no-run || exit 1
failed=0
for file in e2e/tests/*.rs; do
  test=$(basename "$file" .rs)
  run=(timeout --kill-after=10 500 cargo test --quiet -p leno-e2e --locked --test "$test" -- --test-threads=1 --nocapture)
  if ! "${run[@]}"; then
    echo "SECOND TRY of $test"
    "${run[@]}" || { echo "FAILED twice: $test"; failed=$((failed + 1)); }
  fi
done
echo "e2e: $failed of $(ls e2e/tests/*.rs | wc -l) files failed"
[ "$failed" = 0 ]
