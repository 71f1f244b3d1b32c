"""What helps a GAN that has few images: the evidence of docs/pggan.md.

    python benchmarks/gan_evidence.py phantoms
    python benchmarks/gan_evidence.py real --root ../shared/cxr-real/CXR-real-v1.0-small
    python benchmarks/gan_evidence.py phantoms --ways base ada --finetune-kimg 20

A GAN of one finding is trained on 20, 100 and 500 images (or as many as there are) in these ways,
each with one thing more than the one before:

    scratch   from nothing, growing, WGAN-GP: as published
    base      from a base GAN of images without the finding, at full resolution
    ada       and adaptive discriminator augmentation
    r1        and the non-saturating loss with lazy R1 in the place of WGAN-GP
    r1_time   the same for half as many images again, which takes about as long as WGAN-GP

Networks are narrow and trainings short, so that it runs without a GPU. Each GAN is judged on test
patients that no GAN, no feature network and no choice of a checkpoint has seen. Writes {kind}.csv
and {kind}.jpg (a sheet of samples) to docs/evidence/pggan, as {kind}_{kimg}kimg if the findings'
trainings have a length of their own, and prints the table. A second call goes on where the first
was stopped.
"""

import argparse
import json
import multiprocessing
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

WAYS = ("scratch", "base", "ada", "r1", "r1_time")
# How much longer than the others a way is trained.
LONGER = {"r1_time": 1.5}
SIZES = (20, 100, 500)
RESOLUTION = 64
FINDING = {"phantoms": "Lung Lesion", "real": "Pneumonia"}
NEGATIVES = "negatives"
DRAWN = 250
SHOWN = 8

# What is the same for all GANs: narrow networks, and a learning rate that suits a short training.
GAN = {
    "resolution": RESOLUTION,
    "start_resolution": 8,
    "latent_size": 128,
    "fmap_base": 256,
    "fmap_max": 32,
    "learning_rate": 0.004,
    "ema_half_life_kimg": 0.5,
    "batch_size": 16,
    "tick_kimg": 1.0,
    "r1_gamma": 1.0,
    "device": "cpu",
    "evaluation": {"space": "classifier", "images": 200, "min_reference": 30, "keep": "best"},
}
ADA = {"kimg": 10}


def main():
    arguments = parse()
    work = Path(arguments.work) / arguments.kind
    work.mkdir(parents=True, exist_ok=True)
    prepare(arguments, work)
    finding = FINDING[arguments.kind]
    with h5py.File(work / "positives.h5") as file:
        available = len(file["images"])
    plan = Plan(
        work,
        arguments.kimg,
        arguments.finetune_kimg or arguments.kimg,
        arguments.ways,
        sorted({min(size, available) for size in SIZES}),
        arguments.seeds,
    )
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        pool.starmap(train_base, plan.bases(), chunksize=1)
        pool.starmap(train_way, plan.gans(), chunksize=1)
    table = measure(plan)
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    name = arguments.kind + plan.suffix
    table.to_csv(output / f"{name}.csv", index=False, float_format="%.4g")
    draw_sheet(plan, output / f"{name}.jpg", arguments.kind, finding)
    print(summary(table))


@dataclass(frozen=True)
class Plan:
    """Which GANs are trained, and where they lie."""

    work: Path
    kimg: float  # length of the final phase
    finetune_kimg: float  # length of a finding's training from its base
    ways: list[str]
    sizes: list[int]
    seeds: list[int]

    @property
    def suffix(self):
        """In names, where findings' trainings are not as long as the base's last phase."""
        return "" if self.finetune_kimg == self.kimg else f"_{self.finetune_kimg:g}kimg"

    def bases(self):
        """Every base that some way needs: the plan, loss, factor of its length, and seed."""
        ways = [way for way in self.ways if way != "scratch"]
        kinds = dict.fromkeys((loss_of(way), LONGER.get(way, 1.0)) for way in ways)
        return [(self, *kind, seed) for kind in kinds for seed in self.seeds]

    def gans(self):
        """Every GAN of the finding: the plan, way, size and seed."""
        return [
            (self, way, size, seed)
            for seed in self.seeds
            for way in self.ways
            for size in self.sizes
        ]

    def base(self, loss, longer, seed):
        """Name of a base's folder."""
        return f"base_{loss}{'' if longer == 1 else f'_{longer:g}'}_{seed}"

    def gan(self, way, size, seed):
        """Name of a GAN's folder."""
        return f"{way}{self.suffix}_{size}_{seed}"


def loss_of(way):
    return "r1" if way.startswith("r1") else "wgan-gp"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(FINDING))
    parser.add_argument("--root", help="data set in CheXpert's layout, for `real`")
    parser.add_argument("--kimg", type=float, default=3.0, help="final phase, in kimg")
    parser.add_argument("--finetune-kimg", type=float, help="findings' trainings, if not the same")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--patients", type=int, default=1100, help="phantoms")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one thread each")
    parser.add_argument("--work", default=ROOT / "results" / "gan_evidence", help="folder")
    parser.add_argument("--output", default=ROOT / "docs" / "evidence" / "pggan", help="folder")
    arguments = parser.parse_args()
    if arguments.kind == "real" and not arguments.root:
        parser.error("real needs --root")
    return arguments


def prepare(arguments, work):
    """From a data set to training, validation and test images, and the network that judges them."""
    from image_sets import Stages

    from rarecxr.phantoms.dataset import make_phantoms
    from rarecxr.study.configuration.phantom import PhantomSettings

    if (work / "features.pt").exists():
        return
    finding, root = FINDING[arguments.kind], arguments.root
    if root is None:
        root = work / "phantoms"
        make_phantoms(
            root,
            PhantomSettings(
                patients=arguments.patients,
                expert_patients=1,
                resolution=RESOLUTION,
                prevalence={finding: 0.4},
                seed=11,
            ),
            arguments.jobs,
        )
    stages = Stages("evidence", work, finding, RESOLUTION, arguments.jobs)
    stages.read(root, test_percent=20, validation_percent=10, min_positive_patients=10)
    # The test patients as a set of their own: what `make_validation_set` makes of a swapped split.
    swapped = pd.read_csv(work / "split.csv")
    swapped["split"] = swapped["split"].map({"train": "train", "val": "test", "test": "val"})
    swapped.to_csv(work / "swapped.csv", index=False)
    for name, what in (("positives", finding), ("base", NEGATIVES)):
        stages.training_set(name, what)
        stages.validation_set(f"validation_{name}", what)
        stages.validation_set(f"test_{name}", what, "swapped.csv")
    stages.features(epochs=6, device="cpu", threads=1)


def train_base(plan, loss, longer, seed):
    """The GAN that the others start from, of images without the finding."""
    run(plan, plan.base(loss, longer, seed), "base.h5", seed, loss, longer, None, None, NEGATIVES)


def train_way(plan, way, size, seed):
    """One GAN of the finding."""
    loss, longer = loss_of(way), LONGER.get(way, 1.0)
    start = plan.work / plan.base(loss, longer, seed) / "generator.pt"
    base = None if way == "scratch" else start
    ada = None if way in ("scratch", "base") else ADA
    chosen = subset(plan.work, size, seed)
    run(plan, plan.gan(way, size, seed), chosen, seed, loss, longer, base, ada, "finding")


def subset(work, size, seed):
    """The name of a training set of `size` of the finding's images, other ones for each seed."""
    from rarecxr.data.image_file import ImageFile, write_image_file

    name = f"positives_{size}_{seed}.h5"
    if not (work / name).exists():
        images = ImageFile(work / "positives.h5")
        rows = np.sort(np.random.default_rng(seed).permutation(len(images))[:size])
        columns = {key: values[rows] for key, values in images.columns.items()}
        chosen, side = images.read(rows), images.resolution
        write_image_file(work / name, [chosen], size, side, columns, images.attributes)
    return name


def run(plan, name, images, seed, loss, longer, base, ada, what):
    import torch

    from rarecxr.gan.training import GanInputs, GanOutputs, train_gan
    from rarecxr.study.configuration.gan import GanSettings
    from rarecxr.study.place import Place

    torch.set_num_threads(1)
    work, kimg = plan.work, longer * plan.kimg
    folder = work / name
    if (folder / "generator.json").exists():
        return
    kind = "base" if what == NEGATIVES else "positives"
    folder.mkdir(exist_ok=True)
    # As many images of the finding for all: those that begin from nothing need theirs to grow.
    length = {"fade_kimg": kimg / 4, "stabilise_kimg": kimg / 2, "final_kimg": kimg}
    settings = GanSettings(
        seed=seed,
        loss=loss,
        fresh_latents=loss == "wgan-gp",
        ada=ada,
        finetune_kimg=longer * plan.finetune_kimg,
        **length,
        **GAN,
    )
    names = ("generator.pt", "training.csv", "samples.png", "generator.json")
    train_gan(
        GanInputs(work / images, base, work / f"validation_{kind}.h5", work / "features.pt"),
        GanOutputs(*(folder / name for name in names)),
        folder / "state",
        settings,
        Place("evidence", what, "plain", 100.0, 0),
    )


def drawn(work, name, count):
    """Images of a trained generator, (count, R, R) uint8."""
    from rarecxr.bank.generate import bank_latents, generate_images
    from rarecxr.gan.checkpoint import networks_from, read_checkpoint

    network = networks_from(read_checkpoint(work / name / "generator.pt"))[0].eval()
    latents = bank_latents(7, 0, count, network.latent_size)
    return np.concatenate([generate_images(network, part) for part in latents.split(50)])


def measure(plan):
    """One row a GAN, and rows for the real images that it is held against."""
    import torch
    from sklearn.metrics import roc_auc_score

    from rarecxr.classifier.prediction import predict, read_model
    from rarecxr.core.order import evenly
    from rarecxr.data.image_file import ImageFile
    from rarecxr.quality.evaluation import RealImages
    from rarecxr.quality.feature_spaces import FeatureSpace
    from rarecxr.quality.near_copies import NearCopies, training_features

    work = plan.work

    def read(name):
        return ImageFile(work / name).read()

    _, about = read_model(work / "features.pt")
    column = about["findings"].index(FINDING[work.name])
    cpu = torch.device("cpu")
    spaces = {
        "classifier": FeatureSpace("classifier", cpu, work / "features.pt"),
        "pixels": FeatureSpace("pixels", cpu),
    }
    test, negatives = ImageFile(work / "test_positives.h5"), read("test_base.h5")
    real = {
        name: RealImages(space(test.read()), test.columns["patient"])
        for name, space in spaces.items()
    }
    scores_of_negatives = predict(work / "features.pt", negatives, "cpu")[:, column]

    def shown(images):
        """AUROC of the network's score, these images against real ones without the finding."""
        scores = predict(work / "features.pt", images, "cpu")[:, column]
        labels = np.r_[np.ones(len(scores)), np.zeros(len(negatives))]
        return roc_auc_score(labels, np.r_[scores, scores_of_negatives])

    rows = []
    for seed in plan.seeds:
        for size in plan.sizes:
            training = ImageFile(work / subset(work, size, seed))
            copies = {
                name: NearCopies(*training_features(space, training)[:2])
                for name, space in spaces.items()
            }
            # What real images of other patients reach: the validation positives.
            candidates = {"real": evenly(read("validation_positives.h5"), DRAWN)}
            gans = {way: plan.gan(way, size, seed) for way in plan.ways}
            candidates |= {way: drawn(work, gan, DRAWN) for way, gan in gans.items()}
            for way, images in candidates.items():
                row = {"images": size, "way": way, "seed": seed, "shown": shown(images)}
                if way != "real":
                    made_by = json.loads(
                        (work / gans[way] / "generator.json").read_text(encoding="utf-8")
                    )
                    log = pd.read_csv(work / gans[way] / "training.csv")
                    row |= {"kept_kimg": made_by["kept_kimg"], "kimg": made_by["kimg"]}
                    row["s_per_kimg"] = log["s_per_kimg"].iloc[-3:].median()
                    row["ada_p"] = log["ada_p"].iloc[-1] if "ada_p" in log else None
                for name, space in spaces.items():
                    features = space(images)
                    measures = real[name].compare(features) | copies[name].measures(features)
                    measures["nearest"] = measures.pop("nearest_ratio")
                    row |= {f"{key}_{name}": value for key, value in measures.items()}
                rows.append(row)
    return pd.DataFrame(rows)


def summary(table):
    """The table of docs/pggan.md: means over the seeds, with standard deviations of the KID."""
    lines = [
        "| images | GAN | KID | precision | recall | memorised | KID (pixels) | finding shown |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (size, way), part in table.groupby(["images", "way"], sort=False):
        mean = part.mean(numeric_only=True)
        cells = [
            f"{mean.kid_classifier:.3f} ± {part.kid_classifier.std():.3f}",
            f"{mean.precision_classifier:.2f}",
            f"{mean.recall_classifier:.2f}",
            f"{mean.memorised_pixels:.2f}",
            f"{mean.kid_pixels:.3f}",
            f"{mean.shown:.2f}",
        ]
        lines.append(f"| {size} | {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_sheet(plan, path, kind, finding):
    """A row of samples for each GAN of the first seed; phantoms below real ones."""
    from rarecxr.gan.sample_sheet import write_sheet

    rows = []
    if kind == "phantoms":
        # Real patients' images stay where they are.
        with h5py.File(plan.work / "test_positives.h5") as file:
            rows.append(("real", file["images"][:SHOWN]))
    for size in plan.sizes:
        for way in plan.ways:
            images = drawn(plan.work, plan.gan(way, size, plan.seeds[0]), SHOWN)
            rows.append((f"{way}\n{size} images", images))
    what = "phantoms" if kind == "phantoms" else "real X-rays"
    write_sheet(
        path,
        f"{finding}, {what}, {RESOLUTION} px: short trainings of narrow networks",
        rows,
        "Generated images are synthetic: for research only, not for diagnosis.",
    )


if __name__ == "__main__":
    main()
