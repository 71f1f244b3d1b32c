#!/usr/bin/env bash
# What this library does on a GPU, in minutes: tests, speed, and a short training worth looking at.
#
#     bash benchmarks/gpu.sh OUT_FOLDER [--root FOLDER] [--parts 1,2,3,4,5,6] [--device cpu --tiny]
#
# Needs the library and its Python packages alone, no Snakemake. Prints one table at the end; puts
# results.json, log.txt and pictures into OUT_FOLDER (at most 8 files). Each part has a limit of its
# own, and all together have one (LIMIT_S, 420 seconds): what is done by then is in the table. The
# short training comes last and takes what is left of it, at least 150 seconds.
#
#   1  tests of the library on the GPU (tests/unit/test_cuda.py)
#   2  matrix product rates; the PGGAN's step at 64, 128 and 256 px
#   3  DenseNet-121 at 224 px, beside the published step
#   4  base and Lung Lesion PGGAN at 128 px, with KID over time
#   5  a bank, drawn and read back
#   6  the PGGAN's step with and without what is done about it, with CUDA graphs, while it
#      fades in, with torch.compile, and where its time goes
#
# --root: a data set in CheXpert's layout for part 4; without it, phantoms are drawn on the spot.
# --device cpu --tiny: try the script where there is no GPU.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
case ${1-} in
    '' | -*) sed -n '4s, *# *,usage: ,p' "$0" >&2; echo "give a folder for the results first" >&2; exit 2 ;;
esac
out=$1
shift
root=() options=() parts=1,2,3,5,6,4 tiny=
while [ $# -gt 0 ]; do
    case $1 in
        --root) root=(--root "$(realpath "$2")"); shift 2 ;;
        --parts) parts=$2; shift 2 ;;
        --device) options+=(--device "$2"); shift 2 ;;
        --tiny) options+=(--tiny); tiny=yes; shift ;;
        *) echo "unknown option $1: see the head of $0" >&2; exit 2 ;;
    esac
done
mkdir -p "$out"
out=$(realpath "$out")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
limit=${LIMIT_S:-420}
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=$work TORCHINDUCTOR_CACHE_DIR=$work/inductor
export PYTHONPATH=$here/workflow/scripts:$here${PYTHONPATH:+:$PYTHONPATH}
cd "$here"
: >"$out/log.txt"

# part NUMBER SECONDS COMMAND…: within its limit and what is left of the whole
part() {
    local number=$1 seconds=$2 left=$((limit - SECONDS)) begin=$SECONDS status=0
    shift 2
    [[ $number != 4 && ,$parts, == *,4,* && ! $tiny ]] && left=$((left - 150))
    [ "$left" -lt "$seconds" ] && seconds=$left
    if [ "$seconds" -lt 10 ]; then
        echo "part $number: no time left" | tee -a "$out/log.txt"
        return 0
    fi
    echo "== part $number ($SECONDS s)" >>"$out/log.txt"
    # Parts that know their limit end by themselves; the kill is for those that hang.
    PART_S=$seconds timeout -k 5 "$((seconds + 5))" "$@" >>"$out/log.txt" 2>&1 || status=$?
    echo "part $number: $((SECONDS - begin)) s, exit status $status" | tee -a "$out/log.txt"
    [ "$status" = 0 ] || tail -n 8 "$out/log.txt" | cut -c 1-300
    "$python" benchmarks/gpu/table.py "$work" "$out" >"$work/table.txt" 2>>"$out/log.txt"
}

common=(--work "$work" --out "$out" "${options[@]}")
scripts=benchmarks/gpu
for number in ${parts//,/ }; do
    case $number in
        1) part 1 70 "$python" -m pytest -p no:cacheprovider -q -rs --tb=short --durations=5 \
            --junitxml "$work/tests.xml" tests/unit/test_cuda.py ;;
        2) part 2 75 "$python" $scripts/gan_step.py "${common[@]}" ;;
        3) part 3 55 "$python" $scripts/classifier_step.py "${common[@]}" ;;
        4) part 4 "$([ "$tiny" ] && echo 90 || echo "$limit")" \
            "$python" $scripts/short_training.py "${common[@]}" "${root[@]}" ;;
        5) part 5 25 "$python" $scripts/bank_speed.py "${common[@]}" ;;
        6) part 6 80 "$python" $scripts/gan_variants.py "${common[@]}" ;;
        *) echo "no part $number" >&2 ;;
    esac
done
cat "$work/table.txt"
echo "$SECONDS s in all; results in $out"
