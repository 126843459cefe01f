#!/usr/bin/env bash
# web_demo/check.sh [unit] [browser]: types, lint, and unit tests of the TypeScript sources; the page in Chromium.
#
# Requires Node 20 or newer with npm, which fetches the pinned packages once; for the browser part also Chromium and a
# Python environment with this project (PYTHON, by default the checkout's). Exit code: 77 if a tool is missing, 1 for
# failures. Without arguments, a missing Chromium is told and skipped.
set -euo pipefail
cd "$(dirname "$0")"

missing() {
    echo "web-check: $1" >&2
    exit 77
}

need_packages() {
    command -v node >/dev/null && command -v npm >/dev/null || missing "no node and npm: apt-get install nodejs npm"
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || missing "Node $(node --version) is too old: install Node 20 or newer"
    mkdir -p build
    exec 9>build/.lock
    ! command -v flock >/dev/null || flock 9 # another run may be fetching
    if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
        npm ci --silent --ignore-scripts || missing "npm could not fetch the packages: check the network"
        touch node_modules/.package-lock.json
    fi
    exec 9>&-
}

check_unit() {
    npx tsc --noEmit
    npx tsc --noEmit -p core
    npx eslint .
    npx prettier --check --log-level warn .
    node tests/run.mjs
}

need_packages
if [ $# -eq 0 ]; then
    check_unit
    code=0
    node tests/browser/check.mjs || code=$?
    [ $code -eq 77 ] || exit $code
    exit 0
fi
for part; do
    case $part in
        packages) ;;
        unit) check_unit ;;
        browser) node tests/browser/check.mjs ;;
        *) echo "web-check: expected unit or browser, got $part" >&2; exit 2 ;;
    esac
done
