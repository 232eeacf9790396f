#!/usr/bin/env bash
# Chromium for the browser test: there already, installed by apt where this user may, or a word on how to get it.
# Without it the test is skipped, except in continuous integration (CI=true), which must not pass without having tried.
set -euo pipefail
if command -v chromium >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    log=$(mktemp)
    echo "Installing Chromium for the browser test (about 1 min) ..."
    if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } \
        >"$log" 2>&1 </dev/null; then
        rm -f "$log"
        exit 0
    fi
    tail -n 15 "$log"
    rm -f "$log"
fi
way_out="as root: apt-get install chromium (any program \`chromium\` on PATH will do)"
if [ "${CI:-}" = true ]; then
    echo "error: no Chromium, and CI=true: the browser test must run. $way_out" >&2
    exit 1
fi
echo "No Chromium: the browser test will be skipped. To have it, $way_out"
