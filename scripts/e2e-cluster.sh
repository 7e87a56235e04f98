#!/usr/bin/env bash
# Runs the end-to-end tests on Kubernetes, one file after the other, and says how long each step takes.
#
# Without KUBECONFIG the cluster of `make cluster` is brought up; with it, that cluster is used as it is: its nodes must be able
# to get the images $LENO_HUB/leno-*:$LENO_TAG (kind load image-archive target/images/*.tar, k3d image import, a registry).
# Usage: e2e-cluster.sh [NAME…]   test files without .rs; all without arguments
set -uo pipefail
cd "$(dirname "$0")/.." || exit
limit=${LENO_E2E_LIMIT:-900}
names=("$@")
if [ $# = 0 ]; then
  names=(sanity)
  for file in e2e-cluster/tests/*.rs; do
    name=$(basename "$file" .rs)
    [ "$name" = sanity ] || names+=("$name")
  done
fi

step() { # step WHAT COMMAND…: runs it, says how long it took
  local what=$1 start=$EPOCHREALTIME status=0
  shift
  "$@" || status=$?
  awk -v a="$start" -v b="$EPOCHREALTIME" -v what="$what" 'BEGIN { printf "%7.1f s  %s\n", b - a, what }' >&2
  return "$status"
}

up() {
  local line
  # A cluster that was there before stays.
  [ -f "${LENO_CACHE:-$HOME/.cache/leno}/cluster/complete" ] || ours=yes
  line=$(cluster/up.sh) || return
  eval "$line"
  # A kubectl of the cluster's own version, whatever this machine has.
  PATH="$(cluster/programs.sh kubectl):$PATH"
  cluster/load.sh
}

away() {
  if [ -n "$ours" ]; then
    cluster/down.sh
  else
    "${LENO_BIN:-target/release}/leno" uninstall --purge -y
  fi
}

ours=
# Before any limit of time: what it builds with Go takes minutes where nothing is kept from an earlier run.
case " ${names[*]} " in
*" conformance "*) step "the conformance suite, built" scripts/conformance.sh build || exit 1 ;;
esac
step "compile the tests" cargo test -p leno-e2e-cluster --locked --no-run --quiet || exit 1
if [ -z "${KUBECONFIG:-}" ]; then
  step "cluster up, images loaded" up || exit 1
fi
export KUBECONFIG
if ! command -v kubectl >/dev/null; then
  programs=$(cluster/programs.sh kubectl) || exit 1
  PATH="$programs:$PATH"
fi

failed=()
for name in "${names[@]}"; do
  run=(timeout --kill-after=10 "$limit" cargo test --quiet -p leno-e2e-cluster --locked --test "$name" -- --test-threads=1 --nocapture)
  if ! step "$name" "${run[@]}"; then
    echo "SECOND TRY of $name" >&2
    step "$name" "${run[@]}" || failed+=("$name")
  fi
done
step "clean up" away || failed+=("clean up")
echo "e2e-cluster: ${#failed[@]} of ${#names[@]} files failed${failed[*]:+: ${failed[*]}}"
[ "${#failed[@]}" = 0 ]
