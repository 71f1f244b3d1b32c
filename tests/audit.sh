#!/usr/bin/env bash
# Looks up every package of the lock file among the known vulnerabilities, and ends with an error if one is
# found. Where the package index does not answer that question, it says so and that none was looked up.
set -euo pipefail
cd "$(dirname "$0")/.."
timeout 300 .venv/bin/uv --quiet tool run pip-audit==2.10.1 --progress-spinner off --format json \
    --disable-pip --require-hashes -r requirements.lock 2>/dev/null |
    .venv/bin/python tests/audit.py || [ "${PIPESTATUS[1]}" = 0 ]
