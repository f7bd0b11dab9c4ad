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

if docker info >/dev/null 2>&1; then
  export DOCKER_BUILDKIT=1
  build=(docker build)
  local_image=(docker image inspect)
elif command -v buildah >/dev/null; then
  # vfs and chroot work without a kernel that grants overlay mounts and namespaces.
  build=(buildah --storage-driver vfs bud --isolation chroot)
  local_image=(buildah --storage-driver vfs inspect --type image)
else
  echo 'image: needs a running docker engine, or buildah (Debian package buildah)' >&2
  exit 1
fi

if ! "${build[@]}" "${options[@]}" .; then
  base=$(sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' Dockerfile | sort -u)
  "${local_image[@]}" "$base" >/dev/null 2>&1 ||
    echo "image: if $base cannot be pulled here, provide the base image locally under that name, then try again" >&2
  exit 1
fi
echo "image: built $tag"
