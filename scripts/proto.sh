#!/usr/bin/env bash
# What is done with the .proto files: generate | lint | breaking | baseline
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH" # buf looks for protoc-gen-es there

case "${1:-}" in
  generate)
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    buf generate proto --template proto/buf.gen.yaml --output "$fresh"
    diff -rq proto/gen "$fresh/proto/gen" >/dev/null 2>&1 && exit # whoever reads it meanwhile is not disturbed
    rm -rf proto/gen # with what a deleted .proto left behind
    mv "$fresh/proto/gen" proto/gen
    ;;
  lint)
    buf lint proto
    buf format proto --diff --exit-code
    ;;
  breaking)
    # There is no baseline before the first release.
    [ ! -e proto/baseline.binpb ] || buf breaking proto --against proto/baseline.binpb
    ;;
  baseline) buf build proto --exclude-source-info --output proto/baseline.binpb ;;
  *)
    echo 'usage: scripts/proto.sh generate | lint | breaking | baseline' >&2
    exit 2
    ;;
esac
