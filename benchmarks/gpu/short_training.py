"""A short training worth looking at: a base and a Lung Lesion PGGAN at 128 px, with KID over time.

From X-rays to generators by the stages of a study: index, labels, split, pixel cache, training and
validation sets, feature network, two trainings. How many images each resolution sees is set from
the speed that is measured here first, so that the whole ends in time. The KID is taken in the
features of a network that was trained on the real training images, against validation patients;
beside it stands its floor, the KID between two halves of these.
"""

import json
import math
import shutil
import time

import h5py
import numpy as np
import torch
from benchmarks.image_sets import Stages
from shared import Results, options, seconds_each, seconds_left

from rarecxr.gan.images import TrainingImages
from rarecxr.gan.networks import build_networks
from rarecxr.gan.trainer import Trainer
from rarecxr.gan.training import GanInputs, GanOutputs, train_gan
from rarecxr.phantoms.dataset import make_phantoms
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.configuration.phantom import PhantomSettings
from rarecxr.study.place import Place

FINDING = "Lung Lesion"
NEGATIVES = "negatives"
# Shares of the base's time by resolution, from the last one down.
SHARES = (0.6, 0.2, 0.1, 0.06, 0.04)
# The widest networks that see so many images in the time there is are taken.
WANTED_KIMG = 100
WIDTHS = ((8192, 512), (4096, 256), (2048, 128))


def main():
    asked = options(__doc__.splitlines()[0])
    results = Results(asked, "short_training")
    work, tiny = asked.work / "short", asked.tiny
    work.mkdir(exist_ok=True)
    threads = 1 if tiny else 16
    begin = time.perf_counter()
    side = 32 if tiny else 128
    prepare(asked, work, side, threads)
    results["prepare_s"] = time.perf_counter() - begin

    # The rest is for the search of a width, saving, measuring and drawing.
    seconds = 8.0 if tiny else 0.5 * seconds_left()
    settings, speed = chosen_settings(asked, side, seconds)
    results["settings"], results["s_per_kimg"] = settings, speed
    for name, base, ada_kimg in (
        ("base", None, 50.0),
        ("lesion", work / "base" / "generator.pt", 20.0),
    ):
        kimg = settings["final_kimg"]
        if base is not None:
            # Whatever the base has taken, this one has to end in time.
            kimg = max(0.2, (3.0 if tiny else 0.6 * seconds_left()) / speed[str(side)])
            settings = {**settings, "finetune_kimg": kimg}
        measured = {**settings, "tick_kimg": kimg / 10, "ada": {"kimg": ada_kimg}}
        results[name] = run(asked, work, name, base, threads, measured)
        shutil.copy(work / name / "samples.png", asked.out / f"{name}_samples.png")
        draw_curve(results, asked.out / "kid.png")


def prepare(asked, work, side, threads):
    """From a data set in CheXpert's layout to image sets and a feature network."""
    root = asked.root
    if root is None:
        root = work / "phantoms"
        make_phantoms(
            root,
            PhantomSettings(
                patients=120 if asked.tiny else 1000,
                expert_patients=1,
                resolution=side,
                prevalence={FINDING: 0.4},
                studies_per_patient=1.5,
                seed=11,
            ),
            threads,
        )
    stages = Stages("gpu", work, FINDING, side, threads)
    stages.read(root, test_percent=5, validation_percent=20, min_positive_patients=4)
    for name, finding in (("base", NEGATIVES), ("lesion", FINDING)):
        stages.training_set(name, finding)
        stages.validation_set(f"validation_{name}", finding)
    stages.features(1 if asked.tiny else 6, asked.device.type, threads)


def chosen_settings(asked, side, seconds):
    """Settings of both GANs, with a schedule that fits into `seconds`, and s/kimg by resolution."""
    sides = [side >> place for place in range(int(math.log2(side)) - 2)]
    for base, most in [(64, 16)] if asked.tiny else WIDTHS:
        settings = {
            "resolution": side,
            "start_resolution": 8,
            "latent_size": 512,
            "fmap_base": base,
            "fmap_max": most,
            "loss": "r1",
            "r1_gamma": 0.5,
            "fresh_latents": False,
            "learning_rate": 0.002,
            "ema_half_life_kimg": 3.0,
            "batch_size": {f"{one}px": 32 if one >= 64 else 64 for one in sides},
            "precision": "auto",
            "device": asked.device.type,
            "snapshots": 6,
            "resume_interval_s": 86_400.0,
        }
        speed = {str(one): measured_speed(asked, settings, one) for one in sides}
        shares = np.array(SHARES[: len(sides)]) / sum(SHARES[: len(sides)])
        kimg = {
            one: float(share * seconds / speed[str(one)])
            for one, share in zip(sides, shares, strict=True)
        }
        print(f"width {base}: {sum(kimg.values()):.0f} kimg", speed, flush=True)
        if sum(kimg.values()) >= WANTED_KIMG:
            break
    half = {f"{one}px": round(kimg[one] / 2, 3) for one in sides}
    settings |= {
        "fade_kimg": half,
        "stabilise_kimg": half | {"8px": round(kimg[8], 3)},
        "final_kimg": round(kimg[side] - half[f"{side}px"], 3),
    }
    return settings, speed


def measured_speed(asked, settings, resolution):
    """Seconds a thousand images at one resolution, as at its middle: the penalty now and then."""
    count, device = 256, asked.device
    pixels = torch.randint(
        0, 256, (count, 1, resolution, resolution), dtype=torch.uint8, device=device
    )
    labels = np.zeros((count, 0), np.float32)
    changes = {
        "resolution": resolution,
        "start_resolution": resolution,
        "batch_size": GanSettings(**settings).batch_size.at(resolution),
        "ada": {},
    }
    plain = GanSettings(**(settings | changes))
    data = TrainingImages({resolution: pixels}, labels, [], device, seed=1)
    trainer = Trainer(plain, data, build_networks(plain.plain()), 1, False, device)
    interval = 2 if asked.tiny else plain.r1_interval

    def steps():
        for _ in range(interval):
            trainer.step()

    each = seconds_each(steps, device, 0.1 if asked.tiny else 0.5, least=1) / interval
    return 1000 * each / plain.batch_size.at(resolution)


def run(asked, work, name, base, threads, settings):
    """One training; its curve and what its generator.json says."""
    folder, curve = work / name, []
    folder.mkdir(exist_ok=True)
    begin = time.perf_counter()

    def on_tick(trainer, row):
        curve.append(
            {
                "seconds": time.perf_counter() - begin,
                **{
                    key: row.get(key)
                    for key in ("kimg", "resolution", "kid", "ada_p", "s_per_kimg", "real_sign")
                },
            }
        )
        print(curve[-1], flush=True)

    evaluation = {"space": "classifier", "images": 50 if asked.tiny else 500, "min_reference": 20}
    names = ("generator.pt", "training.csv", "samples.png", "generator.json")
    train_gan(
        GanInputs(work / f"{name}.h5", base, work / f"validation_{name}.h5", work / "features.pt"),
        GanOutputs(*(folder / name for name in names)),
        folder / "state",
        GanSettings(seed=1, threads=threads, evaluation=evaluation, **settings),
        Place("gpu", NEGATIVES if base is None else FINDING, "plain", 100.0, 0),
        on_tick=on_tick,
    )
    about = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
    with h5py.File(work / f"{name}.h5") as file:
        images = len(file["images"])
    return {
        "seconds": time.perf_counter() - begin,
        "training_images": images,
        "fmap_base": settings["fmap_base"],
        "generator_parameters": about["generator_parameters"],
        "kimg": about["kimg"],
        "kept_kimg": about["kept_kimg"],
        "kept_kid": about["kept_kid"],
        "watch": about["evaluation"],
        "curve": curve,
    }


def draw_curve(results, path):
    """KID against thousands of images, with the floor as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for name, colour in (("base", "tab:blue"), ("lesion", "tab:orange")):
        result = results.content.get(name)
        if result is None:
            continue
        points = [(p["kimg"], p["kid"]) for p in result["curve"] if p["kid"] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
        floor = (result["watch"] or {}).get("floor")
        if floor:
            axes.axhline(floor["kid"], color=colour, ls=":", label=f"{name}: real against real")
    axes.set(xlabel="thousands of images shown", ylabel="KID (classifier's features)")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
