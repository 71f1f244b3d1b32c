#!/usr/bin/env bash
# Sets up without internet, as envs/README.md describes it: in a network namespace without routes.
# Fetches all packages (about 3 GB) first, and removes everything again.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d "${TMPDIR:-/tmp}/rarecxr-offline.XXXXXX")
trap 'rm -rf "$folder"' EXIT
make wheels WHEELS="$folder/wheels"
du -sh "$folder/wheels"
git archive HEAD | tar -x -C "$folder"
# Nothing of the user's own may help: no cache, no settings of pip or uv.
unshare --net env -i PATH="$PATH" HOME="$folder/home" bash -euo pipefail -c "
    cd '$folder'
    make setup PYTHON='$PYTHON' WHEELS=wheels
    .venv/bin/snakemake --version
    .venv/bin/python -c 'import torch, torchvision, h5py, sklearn, tensorboard'
    .venv/bin/snakemake --dry-run --quiet"
echo "The set-up without internet works."
