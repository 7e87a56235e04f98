#!/usr/bin/env bash
# Builds Leno's images from programs that are built already, and writes them as archives to target/images.
# Usage: build.sh [NAME…]   (leno-control leno-proxy leno-viz leno-shop)
#
#   PROGRAMS_DIR  where the programs are                [target/release]
#   HUB, TAG      image names                           [docker.io/leno, the version in Cargo.toml]
#   BUILDER       buildah, podman or docker             [the first that is there]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=${PROGRAMS_DIR:-target/release}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
hub=${HUB:-docker.io/leno} tag=${TAG:-$version}
out=target/images
images=("$@")
[ $# -gt 0 ] || images=(leno-control leno-proxy leno-viz leno-shop)
proxy_limit=$((15 * 1024 * 1024))

# A program's shared libraries and loader, at the paths where it looks for them.
copy_libraries() { # copy_libraries ROOT FILE…
  local root=$1 library
  shift
  ldd "$@" 2>/dev/null | grep -o '/[^ ]*\.so[^ :]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
  done
}

system_program() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1"; }

# iptables in both its forms, by nftables and for kernels without them, with the extensions that the rules name. `nft` would
# do as well, but its libraries are two megabytes more.
copy_rule_writers() { # copy_rule_writers ROOT
  local root=$1 program tool extensions extension
  mkdir -p "$root/usr/sbin"
  for program in xtables-nft-multi xtables-legacy-multi; do
    cp --dereference "$(system_program "$program")" "$root/usr/sbin/"
    copy_libraries "$root" "$root/usr/sbin/$program"
  done
  for tool in iptables ip6tables; do
    ln -s xtables-nft-multi "$root/usr/sbin/$tool"
    ln -s xtables-nft-multi "$root/usr/sbin/$tool-restore"
    ln -s xtables-legacy-multi "$root/usr/sbin/$tool-legacy"
    ln -s xtables-legacy-multi "$root/usr/sbin/$tool-legacy-restore"
  done
  extensions=$(dirname "$(find /usr/lib /usr/lib64 -name libxt_owner.so -path '*xtables*' 2>/dev/null | head -n 1)")
  mkdir -p "$root$extensions"
  for extension in libxt_owner libxt_mark libxt_tcp libxt_standard libipt_REDIRECT libip6t_REDIRECT libxt_REDIRECT; do
    [ ! -e "$extensions/$extension.so" ] || cp --dereference "$extensions/$extension.so" "$root$extensions/"
  done
}

# Names for the numbers that programs run as, and how names of hosts are looked up: /etc/hosts, then the pod's DNS.
write_etc() { # write_etc ROOT
  mkdir -p "$1/etc"
  printf 'root:x:0:0::/:/none\nleno-proxy:x:1337:1337::/:/none\nleno:x:65532:65532::/:/none\n' >"$1/etc/passwd"
  printf 'root:x:0:\nleno-proxy:x:1337:\nleno:x:65532:\n' >"$1/etc/group"
  printf 'hosts: files dns\npasswd: files\ngroup: files\n' >"$1/etc/nsswitch.conf"
}

prepare() { # prepare NAME: the image's files in target/images/root/NAME
  local root=$out/root/$1 program=$programs/$1
  [ -x "$program" ] || {
    echo "images: $program is not built: run \`make build\`, or name another folder in PROGRAMS_DIR" >&2
    exit 1
  }
  rm -rf "$root"
  mkdir -p "$root"
  strip -o "$root/$1" "$program"
  chmod 0755 "$root/$1"
  copy_libraries "$root" "$program"
  write_etc "$root"
  [ "$1" != leno-proxy ] || copy_rule_writers "$root"
  # The same files make the same image, whenever it is built.
  find "$root" -exec touch --no-dereference --date=@0 {} +
}

pick_builder() {
  local builder
  for builder in buildah podman docker; do
    command -v "$builder" >/dev/null || continue
    [ "$builder" != docker ] || docker info >/dev/null 2>&1 || continue
    echo "$builder"
    return
  done
  echo "images: neither buildah nor podman nor a running docker was found" >&2
  exit 1
}

build() { # build NAME
  local image=$hub/$1:$tag archive=$out/$1.tar store=("--root" "$PWD/$out/store" "--runroot" "$PWD/$out/store-run")
  rm -f "$archive"
  case $builder in
  buildah)
    # vfs and chroot need no kernel support beyond what any root user has, also inside of containers.
    buildah "${store[@]}" --storage-driver vfs bud --isolation chroot --timestamp 0 --quiet --target "$1" --tag "$image" \
      --file images/Dockerfile "$out/root" >/dev/null
    buildah "${store[@]}" --storage-driver vfs push --quiet "$image" "docker-archive:$archive:$image"
    ;;
  podman | docker)
    "$builder" build --quiet --target "$1" --tag "$image" --file images/Dockerfile "$out/root" >/dev/null
    "$builder" save --output "$archive" "$image"
    ;;
  esac
}

mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }

report() { # report NAME: sizes, and whether the proxy keeps to its limit
  local files packed
  files=$(du --summarize --apparent-size --bytes "$out/root/$1" | cut -f 1)
  packed=$(tar --create --directory "$out/root/$1" . | gzip -6 | wc -c)
  printf '%-14s %s to download, %s on disk, %s\n' "$1" "$(mib "$packed")" "$(mib "$files")" "$out/$1.tar"
  if [ "$1" = leno-proxy ] && [ "$files" -gt "$proxy_limit" ]; then
    echo "images: the proxy's image is larger than $(mib "$proxy_limit")" >&2
    [ "$programs" != target/release ] || exit 1
  fi
}

[ -n "${BUILDER:-}" ] || BUILDER=$(pick_builder)
builder=$BUILDER
mkdir -p "$out"
for image in "${images[@]}"; do
  prepare "$image"
  build "$image"
  report "$image"
done
rm -rf "$out/store" "$out/store-run"
