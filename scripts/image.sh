#!/usr/bin/env bash
# Builds the container image `bkvd`, or `bkvd:softhsm` with the argument softhsm: by docker if an engine answers, else by buildah.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:-runtime}
tag=bkvd:$([ "$target" = runtime ] && echo latest || echo "$target")
options=(--target "$target" --tag "$tag")

# Where npm needs the host's own settings (a mirror, a certificate): a build secret, so that no layer holds them.
npmrc=${NPMRC:-$HOME/.npmrc}
if [ -e "$npmrc" ]; then options+=(--secret "id=npmrc,src=$npmrc"); fi

build() {
  if docker info >/dev/null 2>&1; then
    DOCKER_BUILDKIT=1 docker build "${options[@]}" .
  elif command -v buildah >/dev/null; then
    # vfs and chroot work without a kernel that grants overlay mounts and namespaces.
    buildah --storage-driver vfs bud --isolation chroot "${options[@]}" .
  else
    echo 'image: needs a running docker engine, or buildah (Debian package buildah)' >&2
    exit 1
  fi
}

if ! build; then
  base=$(sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' Dockerfile | sort -u)
  echo "image: not built. If the base image cannot be pulled here, provide $base under that name locally, then try again." >&2
  exit 1
fi
echo "image: built $tag"
