#!/usr/bin/env bash
# Builds the programs of a Kubernetes node, and helm, from their Go modules and keeps them outside the checkout, so that the next run
# finds them. Usage: programs.sh [PROGRAM...]   (those of a node without arguments). Prints the folder that they are in.
#
# The Go module proxy has Kubernetes' source with sums that Go checks; a release's archive would need another download site.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"

wanted=("$@")
[ $# -gt 0 ] || wanted=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl coredns pause)

missing=()
for program in "${wanted[@]}"; do
  [ -x "$PROGRAMS/$program" ] || missing+=("$program")
done
if [ "${#missing[@]}" = 0 ]; then
  echo "$PROGRAMS"
  exit 0
fi

command -v go >/dev/null || die "Go is missing: it builds Kubernetes $KUBERNETES from source. Install Go 1.26 or newer (https://go.dev/dl)"
mkdir -p "$PROGRAMS"
exec 9>"$PROGRAMS/.lock"
flock 9 # another run may be building the same programs: then this one finds them done

# A module of our own that requires all of them: together, so that what they are made of is compiled once. Kubernetes' staging
# modules (k8s.io/api and the like) are required there as v0.0.0 and have to be replaced by their released versions, as the outermost
# module alone may do.
write_module() { # write_module FOLDER
  local source major_minor_patch=${KUBERNETES#v1.}
  source=$(go mod download -json "k8s.io/kubernetes@$KUBERNETES" | sed -n 's/^.*"GoMod": "\(.*\)",*$/\1/p')
  {
    echo "module leno-cluster-programs"
    sed -n 's/^go /go /p' "$source"
    echo "require k8s.io/kubernetes $KUBERNETES"
    echo "require github.com/coredns/coredns $COREDNS"
    echo "require helm.sh/helm/v3 $HELM"
    sed -n "s|^[[:space:]]*\(k8s.io/[^ ]*\) v0\.0\.0\( .*\)*$|replace \1 => \1 v0.$major_minor_patch|p" "$source" | sort -u
  } >"$1/go.mod"
  cp -r "$here/coredns" "$here/pause" "$1/"
}

build() { # build PROGRAM...
  local module=$PROGRAMS/.module stamp=k8s.io/component-base/version packages=() program
  say "building with go: $* (Kubernetes $KUBERNETES, CoreDNS $COREDNS, helm $HELM); the first time this takes about 10 minutes"
  mkdir -p "$module"
  write_module "$module"
  for program in "$@"; do
    case $program in
    coredns | pause) packages+=("./$program") ;;
    helm) packages+=(helm.sh/helm/v3/cmd/helm) ;;
    *) packages+=("k8s.io/kubernetes/cmd/$program") ;;
    esac
  done
  (
    cd "$module"
    # Programs cannot be imported, so `go mod tidy` has nothing to go by: the sums are written as the build asks for them.
    GOFLAGS=-mod=mod nice -n "$BUILD_NICE" "$here/../scripts/go.sh" build -p "$BUILD_JOBS" \
      -ldflags "-s -w -X $stamp.gitVersion=$KUBERNETES -X $stamp.gitMajor=1 -X $stamp.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")" \
      -o "$PROGRAMS/" "${packages[@]}"
  )
}

still=()
for program in "${missing[@]}"; do
  [ -x "$PROGRAMS/$program" ] || still+=("$program")
done
[ "${#still[@]}" = 0 ] || build "${still[@]}"
echo "$PROGRAMS"
