"""One table of all that the parts of `benchmarks/gpu.sh` found, and one JSON file of it.

python benchmarks/gpu/table.py WORK OUT
"""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

PARTS = ("gan_step", "classifier_step", "short_training", "bank_speed", "gan_variants")


def main():
    work, out = Path(sys.argv[1]), Path(sys.argv[2])
    found = {}
    if (work / "tests.xml").exists():
        found["tests"] = read_tests(work / "tests.xml")
    for name in PARTS:
        if (work / f"{name}.json").exists():
            found[name] = json.loads((work / f"{name}.json").read_text(encoding="utf-8"))
    (out / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(text for name, part in found.items() for text in LINES[name](part)))


def read_tests(path):
    """Numbers of tests, and the names of those that failed with the last line of why."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    for case in ElementTree.parse(path).iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error")]
        if bad:
            counts["failed"] += 1
            failures.append([case.get("name"), (bad[0].get("message") or "")[:200]])
        elif case.find("skipped") is not None:
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return {**counts, "failures": failures}


def tests(part):
    yield ", ".join(f"{part[key]} {key}" for key in ("passed", "failed", "skipped")) + " (tests)"
    for name, why in part["failures"]:
        yield f"  {name}: {why}".replace("\n", " ")


def gan_step(part):
    yield f"\n{part['device']}, torch {part['torch']}"
    rates = part.get("matmul_tflop_per_s", {})
    yield "matrix product: " + ", ".join(f"{k} {v:.1f} TFLOP/s" for k, v in rates.items())
    yield ""
    yield "PGGAN      px batch  loss     precision  s/kimg  TFLOP/s  of bf16   GiB"
    for row in part.get("steps", []):
        fresh = " fresh latents" if row["fresh_latents"] else ""
        yield (
            f"        {row['resolution']:5d} {row['batch']:5d}  {row['loss']:8s} "
            f"{row['precision']:9s} {row['s_per_kimg']:7.3f} {row['tflop_per_s']:8.1f} "
            f"{100 * row['share_of_bf16']:6.1f} % {row['peak_memory_gib']:6.2f}{fresh}"
        )
    yield from failed(part)


def classifier_step(part):
    yield f"\nDenseNet-121, 224 px: cache made at {part.get('cache_images_per_s', 0):.0f} images/s"
    yield "           precision batch  images/s  mapped  fixed batch  waiting  mapped   GiB"
    for row in part.get("published", []):
        yield (
            f"published  fp32      {row['batch']:5d} {row['images_per_s']:9.0f}         "
            f"{row['fixed_images_per_s']:12.0f}  (read by {row['workers'] or 'no'} workers)"
        )
    for row in part.get("training", []):
        rates, waits = row["images_per_s"], row["starvation"]
        yield (
            f"training   {row['precision']:9s} {row['batch']:5d} {rates['device']:9.0f} "
            f"{rates['mapped']:7.0f} {row['fixed_images_per_s']:12.0f} {waits['device']:8.2f} "
            f"{waits['mapped']:7.2f} {row['peak_memory_gib']:6.2f}"
        )
    for row in part.get("one_by_one", []):
        yield f"one by one bf16      {row['batch']:5d} {'':17} {row['fixed_images_per_s']:12.0f}"
    for row in part.get("prediction", []):
        yield (
            f"predicting {row['precision']:9s} {row['batch']:5d} {row['images_per_s']:9.0f} "
            f"{'':20} {row['starvation']:8.2f}"
        )
    yield from failed(part)


def short_training(part):
    yield f"\nshort training: data ready after {part.get('prepare_s', 0):.0f} s"
    if "s_per_kimg" in part:
        speed = ", ".join(f"{side} px {value:.2f}" for side, value in part["s_per_kimg"].items())
        yield f"s/kimg measured first: {speed}; fmap_base {part['settings']['fmap_base']}"
    for name in ("base", "lesion"):
        if name not in part:
            continue
        training = part[name]
        watch = training["watch"] or {}
        floor = (watch.get("floor") or {}).get("kid", float("nan"))
        kid = float("nan") if training["kept_kid"] is None else training["kept_kid"]
        yield (
            f"{name}: {training['training_images']} images, {training['kimg']:.0f} kimg in "
            f"{training['seconds']:.0f} s; KID {kid:.4f} at {training['kept_kimg']:.0f} kimg, "
            f"real against real {floor:.4f} ({watch.get('reference_images')} "
            f"{watch.get('reference')} images)"
        )
        yield "  kimg:KID " + " ".join(
            f"{p['kimg']:.0f}:{p['kid']:.3f}" for p in training["curve"] if p["kid"] is not None
        )
    yield from failed(part)


def bank_speed(part):
    yield "\nbank, images/s"
    yield "        px  images  generator alone  into the bank  read back  to begin, s    MiB"
    for row in part.get("banks", []):
        yield (
            f"     {row['resolution']:5d} {row['images']:7d} {row['generator_images_per_s']:16.0f} "
            f"{row['written_images_per_s']:14.0f} {row['read_images_per_s']:10.0f} "
            f"{row['seconds_of_few']:12.2f} {row['mib']:6.0f}"
        )
    yield from failed(part)


def gan_variants(part):
    yield "\nPGGAN's step, R1, bf16                                       px batch  ms/step    GiB"
    for row in part.get("variants", []):
        yield (
            f"  {row['step']:8s} {row['way']:46s} {row['resolution']:5d} {row['batch']:5d} "
            f"{row['ms_per_step']:8.2f} {row['peak_memory_gib']:6.2f}"
        )
    for row in part.get("profiles", []):
        yield (
            f"  kernels at {row['resolution']} px, batch {row['batch']}, {row['step']}: "
            f"{row['kernel_ms_per_step']:.2f} ms and {row['kernels_per_step']:.0f} launches a step"
        )
        for name, ms, count in row["kernels"][:10]:
            yield f"    {ms:8.3f} ms {count:6.0f} x {name[:80]}"
    yield from failed(part)


def failed(part):
    for text in part.get("failed", []):
        yield f"  failed: {text}"


LINES = {
    "tests": tests,
    "gan_step": gan_step,
    "classifier_step": classifier_step,
    "short_training": short_training,
    "bank_speed": bank_speed,
    "gan_variants": gan_variants,
}


if __name__ == "__main__":
    main()
