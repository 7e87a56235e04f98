#!/usr/bin/env bash
# Writes an image archive of one static program, in the form of `docker save`. Usage: archive.sh PROGRAM IMAGE UID ARCHIVE
# The cluster's own two images need no image builder so.
set -euo pipefail
program=${1:?program} image=${2:?image} uid=${3:?uid} archive=${4:?archive}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=$(basename "$program")
sum() { sha256sum "$1" | cut -d' ' -f1; }

mkdir "$work/root" "$work/image"
install -m 0755 "$program" "$work/root/$name"
tar --create --file "$work/image/layer.tar" --directory "$work/root" --owner=0 --group=0 --mtime=@0 "$name"
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/%s"],"User":"%s"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$(go env GOARCH)" "$name" "$uid" "$(sum "$work/image/layer.tar")" >"$work/config"
config=$(sum "$work/config").json
mv "$work/config" "$work/image/$config"
printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$image" >"$work/image/manifest.json"
tar --create --file "$archive.new" --directory "$work/image" manifest.json "$config" layer.tar
mv "$archive.new" "$archive"
