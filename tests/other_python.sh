#!/usr/bin/env bash
# The unit tests on another Python than .venv has: the newest or, if .venv has that, the oldest one that is
# promised. Where neither can be had, the one furthest from it that is at hand, and it says so.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$here" = 3.11 ]; then wanted="3.13 3.12"; else wanted="3.11 3.12 3.13"; fi

# Path of a Python of this version that starts: on the path, pyenv's, or one that uv fetches.
python_of() {
    local candidate
    for candidate in "$(command -v "python$1")" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if [ -x "$candidate" ] && "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    .venv/bin/uv --quiet python install "$1" 2>/dev/null || return 1
    .venv/bin/uv python find --no-project --managed-python "$1" 2>/dev/null
}

found=
for version in $wanted; do
    if [ "$version" != "$here" ] && found=$(python_of "$version"); then break; fi
    [ "$version" = "$here" ] || echo "Python $version is not at hand and could not be fetched"
    found=
done
if [ -z "$found" ]; then
    echo "The unit tests ran on Python $here alone: there is no other that is promised"
    exit 0
fi
"$found" envs/set_up.py --venv .venv-other
echo "The unit tests on $(.venv-other/bin/python --version), beside $here"
# Those whose results could depend on the language or on packages that have other versions there: numbers,
# texts, digests and files. Not what trains, starts programs or simulates: the gate has to end in time.
cd tests/unit
../../.venv-other/bin/pytest --dist loadfile -n "$(nproc 2>/dev/null || echo 2)" -k 'not hold' \
    --deselect tests/unit/test_statistics_external.py \
    test_statistics_*.py test_configuration.py test_code_digest.py test_csv_file.py test_chexpert.py \
    test_labels.py test_split.py test_decode.py test_png16.py test_tables.py test_tensors.py test_hdf5.py \
    test_bank_file.py test_files.py test_provenance.py test_seeds.py test_filters.py test_resize.py \
    test_gan_layers.py test_gan_losses.py test_quality_metrics.py test_classifier_metrics.py
