"""A study's files without a classifier: logits are drawn from binormal models of known AUROC.

An image's probability is the normal distribution function of a latent value less 1.5. The latent
value is N(0, 1) for negatives and N(d, 1) for positives, so the AUROC is Phi(d / sqrt 2). It has a
part of its patient, a part of its image (both the same for every run) and a part of the run.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.stats import norm

from rarecxr.bank.bank_file import write_bank
from rarecxr.bank.sample_sheet import write_sheet
from rarecxr.classifier.prediction_file import EXTERNAL, write_predictions
from rarecxr.data.image_file import write_image_file
from rarecxr.data.image_notes import NOTE_COLUMNS
from rarecxr.data.study_files import ExternalFiles, StudyFiles
from rarecxr.gan.sample_sheet import write_sheet as write_samples
from rarecxr.statistics.design import Design
from rarecxr.study.configuration.statistics import StatisticsSettings
from rarecxr.study.findings import FINDINGS, slug

PREVALENCE = {
    "No Finding": 0.10,
    "Enlarged Cardiomediastinum": 0.10,
    "Cardiomegaly": 0.12,
    "Lung Opacity": 0.49,
    "Lung Lesion": 0.08,
    "Edema": 0.29,
    "Consolidation": 0.19,
    "Pneumonia": 0.11,
    "Atelectasis": 0.30,
    "Pneumothorax": 0.10,
    "Pleural Effusion": 0.44,
    "Pleural Other": 0.06,
    "Fracture": 0.08,
    "Support Devices": 0.53,
}
TARGETS = ("Lung Lesion", "Pleural Other", "Fracture")
# What an arm adds to the AUROC of a target finding.
GAIN = {
    "none": 0.0,
    "oversample": 0.006,
    "standard": 0.012,
    "gan": 0.008,
    "filtered_gan": 0.015,
    "balanced_gan": 0.03,
    "more_real": 0.06,
}
TABLES = (
    "auc",
    "summary",
    "overall",
    "expert",
    "external",
    "external_overall",
    "external_subgroups",
    "curves",
    "subgroups",
    "calibration",
    "counts",
    "patients",
    "sources",
    "runs",
    "dose",
    "ceiling",
    "worth",
)
RECIPES = {"gan": "plain", "filtered_gan": "filtered", "balanced_gan": "filtered"}


def make_images(patients, generator, expert_patients=0):
    """Labels in the shape of labels.parquet, with `split`; patients have 1 to 5 images."""
    total = patients + expert_patients
    n_images = generator.integers(1, 6, total)
    number = np.repeat(np.arange(total), n_images)
    view = np.concatenate([np.arange(n) + 1 for n in n_images])
    split = np.where(np.arange(total) >= patients, "expert", "train").astype(object)
    shuffled = generator.permutation(patients)
    split[shuffled[: patients // 5]] = "test"
    split[shuffled[patients // 5 : patients // 4]] = "val"
    name = np.array([f"patient{i + 1:05d}" for i in range(total)])
    folder = np.where(split == "expert", "valid", "train")
    table = pd.DataFrame(
        {
            "image": [
                f"{folder[i]}/{name[i]}/study1/view{v}_frontal.jpg"
                for i, v in zip(number, view, strict=True)
            ],
            "csv": np.where(split == "expert", "expert", "train")[number],
            "row": np.arange(len(number)) + 2,
            "patient": name[number],
            "study": "study1",
            "view": generator.choice(["AP", "PA"], len(number), p=[0.85, 0.15]),
            "sex": generator.choice(["Female", "Male"], total, p=[0.41, 0.59])[number],
            "age": generator.integers(18, 91, total).astype(np.float32)[number],
        }
    )
    # Who has an unknown age is decided without a random number.
    table.loc[number % 10 == 3, "age"] = np.nan
    for finding in FINDINGS:
        # A patient has a finding in most of their images or in none.
        ill = generator.random(total) < PREVALENCE[finding] * 1.4
        present = generator.random(len(number)) < 1 / 1.4
        table[finding] = (ill[number] & present).astype(np.float32)
    return table, pd.DataFrame({"patient": name, "split": split})


def make_logits(labels, patients, auroc, generator, shared=None, mix=(0.3, 0.5, 0.2)):
    """(N,) float32 logits of an AUROC known in the limit.

    Args:
        labels: (N,) of 0 and 1.
        patients: (N,) numbers.
        auroc: the AUROC.
        generator: of the run's own part.
        shared: generator of the parts that all runs share; seed it alike for every run.
        mix: shares of the variance of patient, image and run.
    """
    shared = shared or generator
    by_patient = shared.normal(size=int(patients.max()) + 1)[patients]
    by_image = shared.normal(size=len(labels))
    latent = np.sqrt(2) * norm.ppf(auroc) * labels
    for share, part in zip(
        mix, (by_patient, by_image, generator.normal(size=len(labels))), strict=True
    ):
        latent = latent + np.sqrt(share) * part
    return (norm.logcdf(latent - 1.5) - norm.logsf(latent - 1.5)).astype(np.float32)


class SimulatedStudy:
    """A study on disk, in the places and formats that the workflow's rules write."""

    def __init__(
        self,
        root,
        patients=2000,
        expert_patients=60,
        fractions=(10, 100),
        arms=tuple(arm for arm in GAIN if arm != "more_real"),
        seeds=3,
        draws=1,
        seed=0,
        run_sd=0.004,
    ):
        self.root = Path(root)
        self.dataset = self.root / "dataset"
        self.dataset.mkdir(parents=True)
        self.fractions, self.arms = fractions, arms
        self.generator = np.random.default_rng(seed)
        self.images, self.split = make_images(patients, self.generator, expert_patients)
        self.images.to_parquet(self.dataset / "labels.parquet", index=False)
        self.split.to_csv(self.dataset / "split.csv", index=False)
        self.rejected = self.dataset / "pixels_64_rejected.csv"
        pd.DataFrame(columns=["image", "row", "reason", "patient"]).to_csv(
            self.rejected, index=False
        )
        train = self.split.loc[self.split["split"] == "train", "patient"].to_numpy()
        self.draws = []
        for draw in range(draws):
            path = self.dataset / f"draw{draw}.csv"
            ranked = self.generator.permutation(train)
            table = pd.DataFrame({"patient": ranked, "rank": range(len(ranked))})
            table.assign(minimum=0).to_csv(path, index=False)
            self.draws.append(path)
        self.runs = [
            {"arm": arm, "fraction": fraction, "draw": draw, "seed": number}
            for arm in arms
            for fraction in fractions
            for draw in range(draws)
            for number in range(seeds)
        ]
        self.predictions = [self._predict(run, run_sd) for run in self.runs]
        self.external = []

    def _predict(self, run, run_sd):
        table = self.images.merge(self.split, on="patient")
        table = table[table["split"] != "train"].sort_values("image")
        patients = pd.factorize(table["patient"])[0]
        logits = np.empty((len(table), len(FINDINGS)), np.float32)
        level = 0.66 + 0.05 * np.log10(run["fraction"])
        for number, finding in enumerate(FINDINGS):
            auroc = level + 0.02 * (number % 4) + run_sd * self.generator.normal()
            if finding in TARGETS:
                auroc += GAIN[run["arm"]]
            logits[:, number] = make_logits(
                table[finding].to_numpy(),
                patients,
                auroc,
                self.generator,
                shared=np.random.default_rng([number, 7]),
            )
        path = self.root / "classifier/{arm}/{fraction}/draw{draw}/seed{seed}".format(**run)
        path.mkdir(parents=True)
        path = path / "predictions.parquet"
        write_predictions(path, table, logits, FINDINGS, self._trained(run))
        return path

    def add_external(self, name, patients=600, lacks=(), gain=GAIN, seed=11):
        """An external test set on disk, on which each arm adds `gain` to the AUROC of targets.

        All AUROCs are 0.04 below the study's own. `lacks`: findings without labels.
        """
        generator = np.random.default_rng(seed)
        images, _ = make_images(patients, generator)
        images["patient"] = images["patient"].str.replace("patient", f"patient{name}")
        folder = self.root / "external" / name
        folder.mkdir(parents=True)
        images.drop(columns=list(lacks)).to_parquet(folder / "labels.parquet", index=False)
        rejected = folder / "pixels_64_rejected.csv"
        pd.DataFrame(columns=["image", "row", "reason", "patient"]).to_csv(rejected, index=False)
        table = images.assign(split=EXTERNAL).sort_values("image")
        codes = pd.factorize(table["patient"])[0]
        paths = []
        for run in self.runs:
            level = 0.62 + 0.05 * np.log10(run["fraction"])
            logits = np.empty((len(table), len(FINDINGS)), np.float32)
            for number, finding in enumerate(FINDINGS):
                more = gain[run["arm"]] if finding in TARGETS else 0
                logits[:, number] = make_logits(
                    table[finding].to_numpy(),
                    codes,
                    level + 0.02 * (number % 4) + more,
                    generator,
                    shared=np.random.default_rng([number, 8]),
                )
            place = "classifier/{arm}/{fraction}/draw{draw}/seed{seed}".format(**run)
            paths.append(self.root / place / f"external_{name}.parquet")
            write_predictions(paths[-1], table, logits, FINDINGS, {"external": name})
        files = ExternalFiles(
            name, folder / "labels.parquet", folder / "pixels_64.h5", rejected, paths
        )
        self.external.append(files)
        return files

    def _trained(self, run):
        """What a run says of its training: 400 images shown, 20 positives added where any are."""
        real = 2 * run["fraction"]
        adds = 0 if run["arm"] in ("none", "standard") else 20
        kind = {"oversample": "repeated", "more_real": "reserve"}.get(
            run["arm"], "synthetic positive"
        )
        counts = {
            f"{name} labelled {label}": 0
            for name in ("real", "repeated", "synthetic positive", "synthetic negative", "reserve")
            for label in (1, 0)
        }
        counts |= {"real labelled 1": 10, f"{kind} labelled 1": adds, "wanted": None}
        if run["arm"] == "more_real":
            counts |= {"wanted": 25}
        return {
            "trained_on": {"images": real, "digest": ""},
            "shown": {"images": 400, "real_passes": 400 / (real + 3 * adds)},
            "added": dict.fromkeys(TARGETS, counts),
        }

    def make_gans(self, recipes=("plain", "filtered"), resolution=64, images=40):
        """Training sets, banks, training curves and sample sheets, drawn as soft blobs.

        A recipe that begins with paired_ has an alignment in its quality.
        """
        gans = []
        for recipe in recipes:
            for fraction in self.fractions:
                for finding in TARGETS:
                    place = f"{recipe}/{fraction}/draw0"
                    gan = self.root / "gan" / place / slug(finding)
                    bank = self.root / "bank" / place
                    gan.mkdir(parents=True)
                    bank.mkdir(parents=True, exist_ok=True)
                    real = self._blobs(images, resolution, 0.02)
                    filters = np.array(["none", "gaussian"] if recipe == "filtered" else ["none"])
                    columns = {
                        "image": [f"train/patient{i:05d}/x.jpg" for i in range(images)],
                        "patient": [f"patient{i:05d}" for i in range(images)],
                        "filter": np.resize(filters, images),
                    }
                    write_image_file(gan / "training_set.h5", [real], images, resolution, columns)
                    write_bank(
                        bank / f"{slug(finding)}.h5",
                        3 * images,
                        resolution,
                        [self._blobs(3 * images, resolution, 0.05)],
                        {"finding": finding, "study": "simulated"},
                    )
                    self._training(gan / "training.csv")
                    rows = [(f"{kimg} kimg", 0.05) for kimg in (0, 20, 40)]
                    rows += [("real training\nimages", 0.02)] * 2
                    drawn = [(label, self._blobs(10, resolution, noise)) for label, noise in rows]
                    write_samples(gan / "samples.png", "GAN", drawn, "synthetic")
                    files = {
                        "training_set": gan / "training_set.h5",
                        "training": gan / "training.csv",
                        "samples": gan / "samples.png",
                        "bank": bank / f"{slug(finding)}.h5",
                        "quality": bank / f"{slug(finding)}_quality.json",
                        "sheet": bank / f"{slug(finding)}_sheet.npz",
                    }
                    quality = self._quality()
                    if recipe.startswith("paired_"):
                        aligned = {"pairs": 0.62, "others": 0.21}
                        quality["alignment"] = {"classifier": aligned, "random": aligned}
                    files["quality"].write_text(json.dumps(quality), encoding="utf-8")
                    real = files["training_set"]
                    write_sheet(real, real, files["bank"], files["sheet"])
                    identity = {"recipe": recipe, "fraction": fraction, "draw": 0}
                    gans.append({**identity, "finding": finding, **files})
        return gans

    def _training(self, path):
        """A training curve: losses at every tick, quality once the GAN has grown."""
        kimg = np.arange(1, 41)
        grown = np.where(kimg < 20, np.nan, 1)
        noise = self.generator.normal
        table = pd.DataFrame(
            {
                "kimg": kimg,
                "resolution": np.where(kimg < 10, 16, np.where(kimg < 20, 32, 64)),
                "alpha": 1.0,
                "critic_loss": -3 * np.exp(-kimg / 15) + noise(0, 0.1, 40),
                "generator_loss": np.exp(-kimg / 20) + noise(0, 0.1, 40),
                "kid": (0.1 + np.exp(-kimg / 10) + noise(0, 0.01, 40)) * grown,
                "precision": np.clip(0.5 + kimg / 100 + noise(0, 0.03, 40), 0, 1) * grown,
                "recall": np.clip(0.3 + kimg / 120 + noise(0, 0.03, 40), 0, 1) * grown,
                "memorised": np.abs(noise(0.01, 0.01, 40)) * grown,
            }
        )
        table.to_csv(path, index=False)

    def _quality(self):
        """What measure_bank writes, in two feature spaces."""
        far = self.generator.random()
        near = {"precision": 0.7, "recall": 0.65, "density": 0.98, "coverage": 0.86}
        floor = {"kid": 0.001, **near, "c2st": 0.5, "memorised": 0.02, "nearest_ratio": 1.0}
        bank = {name: value * (1 - 0.4 * far) for name, value in near.items()}
        bank |= {"kid": 0.02 + far, "c2st": 0.6 + 0.35 * far, "memorised": 0.01}
        bank["nearest_ratio"] = 0.8
        spaces = {
            name: {"images": 60, "bank": bank, "floor": floor} for name in ("classifier", "random")
        }
        return {
            "reference": "validation",
            "reference_images": 120,
            "synthetic_images": 120,
            "sharpness": {"real": 0.5, "synthetic": 0.6},
            "spaces": spaces,
            "provenance": {"versions": {"torch": "2.0"}},
        }

    def _blobs(self, number, resolution, noise):
        """Two bright lungs' shapes on a dark ground, as a picture that no one takes for another."""
        y, x = np.mgrid[-1 : 1 : resolution * 1j, -1 : 1 : resolution * 1j]
        pictures = []
        for _ in range(number):
            shift, size = self.generator.normal(0, 0.05, 2), self.generator.normal(1, 0.08)
            lungs = sum(
                np.exp(
                    -(((x - side + shift[0]) / 0.28) ** 4) - ((y + shift[1]) / (0.65 * size)) ** 4
                )
                for side in (-0.45, 0.45)
            )
            picture = 190 - 130 * lungs + 255 * noise * self.generator.normal(size=x.shape)
            pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        return np.array(pictures)

    def _leakage(self):
        """What rule check_leakage writes of a study without leaks."""
        path = self.root / "report/leakage.csv"
        path.parent.mkdir(exist_ok=True)
        row = {"check": "splits", "promise": "every patient is in one split", "files": 1}
        pd.DataFrame([{**row, "items": len(self.split), "noted": 0}]).to_csv(path, index=False)
        return path

    def _filter_leaks(self, gans):
        """What rule measure_filters writes, a file a fraction."""
        paths = []
        for fraction in dict.fromkeys(gan["fraction"] for gan in gans):
            banks = [
                {
                    "recipe": gan["recipe"],
                    "finding": gan["finding"],
                    "images": 120,
                    "sharpness": {"bank": {"median": 0.4}, "real": {"median": 0.5}},
                    "filters": {
                        name: {"share": 0.3, "real_share": 0.01}
                        | {"corrected": 0.28, "low": 0.2, "high": 0.36}
                        for name in ("gaussian", "minimum", "unsharp")
                    },
                }
                for gan in gans
                if gan["fraction"] == fraction
            ]
            detectors = dict.fromkeys(("gaussian", "minimum", "unsharp"), {"accuracy": 0.98})
            leak = {"fraction": fraction, "draw": 0, "detectors": detectors, "banks": banks}
            folder = self.root / f"bank/filter_leak/{fraction}"
            folder.mkdir(parents=True, exist_ok=True)
            paths.append(folder / "draw0.json")
            paths[-1].write_text(json.dumps(leak), encoding="utf-8")
        return paths

    def evaluate(self, **changed):
        """Arguments of `rarecxr.statistics.evaluation.evaluate`; each changed part of its own."""
        design = {
            "runs": self.runs,
            "target_findings": list(TARGETS),
            "baseline": "none",
            "control": "oversample",
            "ceiling": "more_real" if "more_real" in self.arms else None,
            "doses": {},
            "pairs": {},
        }
        settings = {"resamples": 400, "subgroup_resamples": 100}
        arguments = {
            "files": StudyFiles(
                labels=self.dataset / "labels.parquet",
                split=self.dataset / "split.csv",
                draws=self.draws,
                rejected=self.rejected,
            ),
            "predictions": self.predictions,
            "outputs": {name: self.root / "report" / f"{name}.csv" for name in TABLES},
            "external": self.external,
        }
        for name, value in changed.items():
            for part, names in (
                (design, design),
                (settings, StatisticsSettings.model_fields),
                (arguments, [name]),
            ):
                if name in names:
                    part[name] = value
                    break
        return {
            **arguments,
            "design": Design(**design),
            "settings": StatisticsSettings(**settings),
        }

    def make_report(self, gans=(), **changed):
        """Arguments of `rarecxr.report.page.make_report`.

        `report` changes keys of that section of the settings, `settings` whole sections.
        """
        root = Path(__file__).parents[2]
        settings = yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))
        sections = ("dataset", "classifier", "gan", "bank", "recipes", "report")
        settings = {name: settings[name] for name in sections}
        settings["gan"]["evaluation"]["keep"] = "best"
        settings["arms"] = {
            arm: {"recipe": RECIPES.get(arm), "oversample": arm == "oversample"}
            for arm in self.arms
        }
        settings["report"] |= {
            "title": "Synthetic chest X-rays for rare findings",
            "introduction": "",
            "headline_arms": ["balanced_gan", "filtered_gan", "gan"],
            "images_per_sheet": 8,
            "baseline": "none",
            "control": "oversample",
            **changed.pop("report", {}),
        }
        settings["report"]["statistics"] |= {
            "resamples": 400,
            "margin": 0.01,
            "min_positive_patients": 10,
            "seed": 1,
        }
        self._leakage()
        notes = self.dataset / "pixels_224_notes.csv"
        notes.write_text(",".join(NOTE_COLUMNS) + "\n", encoding="utf-8")
        return {
            "tables": self.root / "report",
            "folder": self.root / "report",
            "notes": notes,
            "published": root / "config/published.csv",
            "gans": list(gans),
            "qualities": list(gans),
            "filter_leaks": self._filter_leaks(gans),
            "study": "simulated",
            "settings": settings | changed.pop("settings", {}),
            **changed,
        }
