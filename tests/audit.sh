#!/usr/bin/env bash
# Looks up every package of the lock file among the known vulnerabilities, and ends with an error if one is
# found. Where the service or the package index cannot be reached, it says so and that nothing was looked up.
set -euo pipefail
cd "$(dirname "$0")/.."
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if timeout 300 .venv/bin/uv --quiet tool run pip-audit==2.10.1 --progress-spinner off \
    --disable-pip --require-hashes -r requirements.lock >"$said" 2>&1; then
    tail -n 1 "$said"
elif grep -qE 'Found [0-9]+ known vulnerabilit' "$said"; then
    cat "$said"
    exit 1
else
    echo "AUDIT SKIPPED: no known vulnerability was looked up ($(tail -n 1 "$said" | cut -c 1-200))"
fi
