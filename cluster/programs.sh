#!/usr/bin/env bash
# Builds the programs of a Kubernetes node from their Go modules and keeps them outside the checkout, so that the next run
# finds them. Usage: programs.sh [PROGRAM...]   (all of them without arguments). Prints the folder that they are in.
#
# The Go module proxy has Kubernetes' source with sums that Go checks; a release's archive would need another download site.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cluster/settings.sh
. "$here/settings.sh"

kubernetes_programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
wanted=("$@")
[ $# -gt 0 ] || wanted=("${kubernetes_programs[@]}" coredns pause)

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

# A module of our own that requires Kubernetes. Its staging modules (k8s.io/api and the like) are required there as v0.0.0 and
# have to be replaced by their released versions, as the outermost module alone may do.
write_module() { # write_module FOLDER
  local source major_minor_patch=${KUBERNETES#v1.}
  source=$(go mod download -json "k8s.io/kubernetes@$KUBERNETES" | sed -n 's/^.*"GoMod": "\(.*\)",*$/\1/p')
  {
    echo "module leno-cluster-programs"
    sed -n 's/^go /go /p' "$source"
    echo "require k8s.io/kubernetes $KUBERNETES"
    sed -n "s|^[[:space:]]*\(k8s.io/[^ ]*\) v0\.0\.0\( .*\)*$|replace \1 => \1 v0.$major_minor_patch|p" "$source" | sort -u
  } >"$1/go.mod"
}

build_kubernetes() { # build_kubernetes PROGRAM...
  local module=$PROGRAMS/.module stamp=k8s.io/component-base/version packages=() program
  say "building with go: Kubernetes $KUBERNETES ($*); the first time this takes 10 to 30 minutes"
  mkdir -p "$module"
  write_module "$module"
  for program in "$@"; do packages+=("k8s.io/kubernetes/cmd/$program"); done
  (
    cd "$module"
    # Programs cannot be imported, so `go mod tidy` has nothing to go by: the sums are written as the build asks for them.
    CGO_ENABLED=0 GOFLAGS=-mod=mod nice -n "$BUILD_NICE" go build -p "$BUILD_JOBS" -trimpath \
      -ldflags "-s -w -X $stamp.gitVersion=$KUBERNETES -X $stamp.gitMajor=1 -X $stamp.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")" \
      -o "$PROGRAMS/" "${packages[@]}"
  )
}

build_coredns() {
  say "building with go: CoreDNS $COREDNS"
  CGO_ENABLED=0 GOBIN=$PROGRAMS nice -n "$BUILD_NICE" \
    go install -p "$BUILD_JOBS" -trimpath -ldflags "-s -w" "github.com/coredns/coredns@$COREDNS"
}

build_pause() { CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$PROGRAMS/pause" "$here/pause/main.go"; }

kubernetes=()
others=()
for program in "${missing[@]}"; do
  [ -x "$PROGRAMS/$program" ] && continue
  case " ${kubernetes_programs[*]} " in
  *" $program "*) kubernetes+=("$program") ;;
  *) others+=("$program") ;;
  esac
done
[ "${#kubernetes[@]}" = 0 ] || build_kubernetes "${kubernetes[@]}"
for program in "${others[@]}"; do "build_$program"; done
echo "$PROGRAMS"
