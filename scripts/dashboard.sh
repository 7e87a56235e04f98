#!/usr/bin/env bash
# The dashboard's own steps. Usage: dashboard.sh build|check|test
#
# npm's packages come by the lock file into dashboard/node_modules (nothing of them is committed), and only when it changed;
# a build only when a source did. leno-viz takes what is in dashboard/dist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../dashboard"
step=${1:?build, check or test}

major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
if [ "$major" -lt 20 ]; then
  echo "the dashboard needs Node 20 or newer; this is $(node --version) (https://nodejs.org)" >&2
  exit 1
fi

lock=$(sha256sum package-lock.json | cut -d ' ' -f 1)
if [ "$(cat node_modules/.leno-lock 2>/dev/null)" != "$lock" ]; then
  echo "installing with npm: the dashboard's libraries and tools, into dashboard/node_modules"
  npm ci --no-fund --no-audit --loglevel=error
  echo "$lock" >node_modules/.leno-lock
fi

case $step in
build)
  sources=$(find src build.mjs package-lock.json -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1)
  if [ "$(cat dist/.sources 2>/dev/null)" != "$sources" ]; then
    node build.mjs
    echo "$sources" >dist/.sources
  fi
  ;;
check)
  node_modules/.bin/tsc --noEmit
  node_modules/.bin/biome ci --colors=off .
  ;;
test) node test/unit.mjs ;;
*)
  echo "dashboard.sh: there is no step $step" >&2
  exit 1
  ;;
esac
