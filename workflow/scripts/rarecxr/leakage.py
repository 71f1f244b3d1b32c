"""Whether any patient is where it must not be, read from the files of a finished study.

Nothing is taken from the code that made them: every file is compared with the split, the draws and
the files that it says it was made from.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from rarecxr.bank.bank_file import Bank
from rarecxr.core.files import sha256, written_whole
from rarecxr.core.json_file import read_json
from rarecxr.core.provenance import GENERATOR_DIGEST, TRAINED_ON, TRAINING_DIGEST, digest_of_images
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.core.tensors import read_tensor_file
from rarecxr.data.image_file import ImageFile
from rarecxr.data.image_notes import copies_under_other_patients, read_notes
from rarecxr.data.split import JUDGED, RESERVED, SPLITS, UNUSED, fraction_patients
from rarecxr.data.study_files import ExternalFiles, StudyFiles
from rarecxr.external_leaks import Sets, images_of_sets, predictions_of_sets
from rarecxr.looks import Look
from rarecxr.mixtures import Origin, compare, from_attributes
from rarecxr.study.findings import ALL, NEGATIVES
from rarecxr.study.recipes import BASE, CONDITIONAL, PAIRED, UNLABELLED, paired, paired_with

log = logging.getLogger(__name__)

# Leaks of one check that an error names.
_NAMED = 5
# Settings that are an arm's, and those by which GANs and banks of one study differ.
_OF_AN_ARM = ("arm", "number", "ratio", "transforms")
_OF_A_GAN = ("finding", "recipe")
# Splits of patients from whom nothing is learned and by whom nothing is chosen.
_NEVER_USED = ("test", "expert", UNUSED)


def check_leakage(
    files: StudyFiles,
    notes: str | os.PathLike,
    gans: Sequence[Mapping[str, Any]],
    validation_sets: Sequence[str | os.PathLike],
    banks: Sequence[Mapping[str, Any]],
    features: Sequence[Mapping[str, Any]],
    pretrainings: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    output: str | os.PathLike,
    external: Sequence[ExternalFiles] = (),
    pixels: str | os.PathLike | None = None,
    models: Sequence[str | os.PathLike] = (),
) -> None:
    """Look for patients where they must not be, and write what was looked at.

    Args:
        files: labels, split and draws.
        notes: what is odd about the images, pixels_{resolution}_notes.csv.
        gans: for each GAN its recipe, fraction, draw and finding (by name, None for the base
            GAN, or `ALL` for those of all images), the same of its parent, the GAN that it must
            have started from (or None), and the paths of its training_set, generator and the
            generator's metadata (JSON).
        validation_sets: the images that GANs and banks are measured against.
        banks: for each bank the same four and its path, `bank`.
        features: for each network that chose among checkpoints or images its fraction, draw and
            path, `model`.
        pretrainings: for each network that was pretrained on images without labels its seed and
            path, `pretrained`.
        runs: for each classifier run its arm, fraction, draw, seed, whether it is trained on the
            fraction's real images, the recipe of its banks (None without), which negatives it uses
            (True, `PAIRED` or False), whether it uses reserve patients' images, whether it starts
            from a pretrained network (`unlabelled`), and the path of its predictions.
        output: the table to write (CSV): check, what it says, files and items looked at, and items
            that were noted, which are no proof of a leak.
        external: the external test sets, with predictions in the order of the runs.
        pixels: the study's pixel cache; needed with external test sets.
        models: the network of every run, in their order; needed with external test sets.

    Raises:
        ValueError: a leak. The message names the first few of each check, and how many more.
    """
    sets = Sets(external, pixels, models)
    study = _Study(files, notes, gans, validation_sets, banks, features, pretrainings, runs, sets)
    rows, leaks = [], []
    for name, (promise, look_at) in _CHECKS.items():
        paths, items, noted, found = set(), 0, 0, []
        for look in look_at(study):
            paths.add(str(look.path))
            items += look.items
            noted += look.noted
            found += [f"{look.path}: {problem}" for problem in look.problems]
        counts = {"files": len(paths), "items": items, "noted": noted}
        rows.append({"check": name, "promise": promise, **counts})
        log.info("%s: %d files, %d leaks", promise, len(paths), len(found))
        if noted:
            log.warning("%s: %d of %d are noted", name, noted, items)
        more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
        leaks += [f"{name}: {line}" for line in [*found[:_NAMED], *more]]
    if leaks:
        mixed = all(line.startswith("mixtures: ") for line in leaks)
        what = "mixes results of different settings or data" if mixed else "leaks"
        raise ValueError(
            f"the study {what}, so that nothing is published; remove these files and run the"
            " workflow again\n  " + "\n  ".join(leaks)
        )
    with written_whole(output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")


class _Study:
    """The files that say which patient may be where; its methods yield a look at each file."""

    def __init__(
        self, files, notes, gans, validation_sets, banks, features, pretrainings, runs, sets
    ):
        labels, split, draws, rejected = files
        self._notes, self._validation_sets = notes, validation_sets
        self._features = {_cell(model): model["model"] for model in features}
        self._gans = {_place(gan): gan for gan in gans}
        self._banks = {_place(bank): bank["bank"] for bank in banks}
        self._pretrained = {int(one["seed"]): one["pretrained"] for one in pretrainings}
        self._runs, self._sets = runs, sets
        self._labels_path, self._split_path, self._draw_paths = labels, split, draws
        images = read_parquet(labels, columns=["image", "patient"])
        self._patient_of = images.set_index("image")["patient"]
        self._split_rows = read_csv(split, ["patient", "split"], str)
        self._split_of = self._split_rows.drop_duplicates("patient").set_index("patient")["split"]
        self._rejected = set(read_csv(rejected, ["image"], str)["image"])
        self._label_of: dict[str, pd.Series] = {}
        self._inside: dict[tuple[float, int], set[str]] = {}
        self._trained_on: dict[tuple[float, int], dict[str, Any]] = {}
        self._digests: dict[str, str] = {}

    def splits(self) -> Iterator[Look]:
        look, rows = Look(self._split_path), self._split_rows
        twice = rows.loc[rows["patient"].duplicated(), "patient"].tolist()
        look.none_of(twice, len(rows), "patients have several rows")
        unknown = rows.loc[~rows["split"].isin([*SPLITS, RESERVED, UNUSED]), "patient"].tolist()
        look.none_of(unknown, 0, "patients are in a split that does not exist")
        known = set(self._split_of.index)
        lost = sorted(set(self._patient_of) - known)
        look.none_of(lost, 0, f"patients of {self._labels_path} have no split")
        yield look

    def copies(self) -> Iterator[Look]:
        """Copies under different patients may be one patient's, or show nothing: they are noted."""
        look = Look(self._notes)
        look.items = len(self._patient_of) - len(self._rejected & set(self._patient_of.index))
        for images in copies_under_other_patients(read_notes(self._notes)):
            splits = pd.Series(images).map(self._patient_of).map(self._split_of)
            if splits.nunique() > 1:
                look.noted += len(images)
        yield look

    def draws_hold_training_patients(self) -> Iterator[Look]:
        for path in self._draw_paths:
            look, patients = Look(path), read_csv(path, ["patient"])["patient"]
            wrong = patients[patients.map(self._split_of) != "train"].tolist()
            look.none_of(wrong, len(patients), "patients are not for training")
            twice = patients[patients.duplicated()].tolist()
            look.none_of(twice, 0, "patients have several ranks")
            yield look

    def training_sets(self) -> Iterator[Look]:
        for gan in self._gans.values():
            look = Look(gan["training_set"])
            file = ImageFile(gan["training_set"])
            images, stated = file.columns["image"], file.columns["patient"]
            patients = pd.Series(images).map(self._patient_of)
            strange = sorted(set(images[patients.isna()]))
            look.none_of(strange, len(images), f"images are not in {self._labels_path}")
            other = images[(patients.to_numpy() != stated) & patients.notna().to_numpy()]
            look.none_of(other, 0, "images are another patient's than it says")
            outside = sorted(set(patients.dropna()) - self._fraction(gan))
            look.none_of(outside, 0, f"patients are outside the fraction ({gan['fraction']} %)")
            _belongs(look, file.attributes, gan)
            yield look

    def validation_sets(self) -> Iterator[Look]:
        for path in self._validation_sets:
            look = Look(path)
            images = _images_of(path)
            splits = images.map(self._patient_of).map(self._split_of)
            wrong = images[splits != "val"].tolist()
            look.none_of(wrong, len(images), "images are of patients who are not for validation")
            yield look

    def nested(self) -> Iterator[Look]:
        kinds: dict[tuple, list] = {}
        for gan in self._gans.values():
            kinds.setdefault((gan["recipe"], gan["finding"], gan["draw"]), []).append(gan)
        for alike in kinds.values():
            alike = sorted(alike, key=lambda gan: float(gan["fraction"]))
            smaller: set[str] = set()
            for gan in alike:
                look = Look(gan["training_set"])
                images = set(_images_of(gan["training_set"]))
                lost = sorted(smaller - images)
                look.none_of(lost, len(smaller), "images of the next smaller fraction are missing")
                smaller = images
                yield look

    def generators(self) -> Iterator[Look]:
        for (recipe, fraction, draw, _), gan in self._gans.items():
            look = Look(gan["metadata"])
            about = read_json(gan["metadata"], [GENERATOR_DIGEST, "inputs"])
            inputs = about["inputs"]
            look.same(about[GENERATOR_DIGEST], self._sha(gan["generator"]), "its generator")
            look.same(inputs.get("images"), self._sha(gan["training_set"]), "its training set")
            start = gan["parent"] and self._gans[_place(gan["parent"])]
            base = start and self._sha(start["generator"])
            look.same(inputs.get("base"), base, "the base GAN that it started from")
            if recipe == UNLABELLED:
                look.same(inputs.get("features"), None, "the network that chose")
            else:
                self._chosen_by(look, inputs, (fraction, draw))
            yield look

    def banks(self) -> Iterator[Look]:
        for place, path in self._banks.items():
            look, gan = Look(path), self._origin(place)
            with Bank(path) as bank:
                about = bank.attributes
            look.same(about.get(GENERATOR_DIGEST), self._sha(gan["generator"]), "its generator")
            digest = self._sha(gan["training_set"])
            look.same(about.get(TRAINING_DIGEST), digest, "its generator's training set")
            recipe, *cell, finding = place
            pair = paired_with(recipe)
            shown = finding if pair is None else None
            _belongs(look, about, {**gan, "recipe": recipe, "finding": shown})
            if pair is not None:
                wanted = self._sha(self._banks[pair, *cell, finding])
                pairing = json.loads(about.get("paired_with", "{}"))
                look.same(
                    pairing.get("bank_digest"), wanted, "the bank of positives it is paired with"
                )
            self._chosen_by(look, json.loads(about["inputs"]), tuple(cell))
            yield look

    def features(self) -> Iterator[Look]:
        for cell, path in self._features.items():
            look = Look(path)
            about = read_tensor_file(path, "a classifier file")
            look.same(about[TRAINED_ON], self._expected(cell), "what it was trained on")
            inputs, draw = about["provenance"]["inputs"], self._draw_paths[cell[1]]
            wanted = {"labels": self._labels_path, "split": self._split_path, "draw": draw}
            for name, file in wanted.items():
                look.same(inputs.get(name), self._sha(file), f"its {name}")
            more = sorted(name for name in inputs if name.startswith("bank "))
            look.none_of(more, 0, "banks were among its images")
            yield look

    def pretrainings(self) -> Iterator[Look]:
        training = self._split_of.index[self._split_of == "train"]
        images = self._patient_of.index[self._patient_of.isin(training)]
        wanted = digest_of_images(set(images) - self._rejected)
        for path in self._pretrained.values():
            look = Look(path)
            about = read_tensor_file(path, "a pretrained network")
            look.same(about[TRAINED_ON], wanted, "what it was trained on")
            inputs = about["provenance"]["inputs"]
            look.same(inputs.get("split"), self._sha(self._split_path), "its split")
            look.none_of(sorted({"labels"} & set(inputs)), 0, "labels were among its inputs")
            yield look

    def _chosen_by(self, look, inputs, cell) -> None:
        """Where a network chose, it must be that of the fraction and draw."""
        if "features" in inputs:
            model = self._features.get(cell)
            wanted = model and self._sha(model)
            look.same(inputs["features"], wanted, "the network that chose")

    def _origin(self, place) -> Mapping[str, Any]:
        """The GAN of a bank: of the same place, the base, or the one that draws all findings."""
        *cell, _ = place
        if paired_with(place[0]) is not None:
            return self._gans[BASE, *place[1:3], None]
        return self._gans.get(place) or self._gans[(*cell, ALL)]

    def reserve(self) -> Iterator[Look]:
        apart = set(self._split_of.index[self._split_of == RESERVED])
        for path in self._draw_paths:
            look, patients = Look(path), read_csv(path, ["patient"])["patient"]
            wrong = patients[patients.isin(apart)].tolist()
            look.none_of(wrong, len(patients), "patients were set apart")
            yield look
        sets = [gan["training_set"] for gan in self._gans.values()]
        for path in [*sets, *self._validation_sets]:
            look, images = Look(path), _images_of(path)
            wrong = images[images.map(self._patient_of).isin(apart)].tolist()
            look.none_of(wrong, len(images), "images are of patients who were set apart")
            yield look
        for run in self._runs:
            look = Look(run["predictions"])
            table = read_parquet(run["predictions"], columns=["image"])
            patients = table["image"].map(self._patient_of)
            wrong = table.loc[patients.isin(apart), "image"].tolist()
            look.none_of(wrong, len(table), "images are of patients who were set apart")
            used = table.attrs.get("reserve", {})
            if not run["reserve"]:
                look.none_of(sorted(used), 0, "findings have images of patients who were set apart")
            for finding, images in used.items() if run["reserve"] else ():
                images = pd.Series(images, dtype=object)
                wrong = images[~images.map(self._patient_of).isin(apart)].tolist()
                what = f"images added for {finding} are not of patients who were set apart"
                look.none_of(wrong, len(images), what)
                wrong = images[images.duplicated()].tolist()
                look.none_of(wrong, 0, f"images are repeated for {finding}")
                wrong = images[images.map(self._labels(finding)) != 1].tolist()
                look.none_of(wrong, 0, f"images added for {finding} do not show it")
            yield look

    def classifiers(self) -> Iterator[Look]:
        for run in self._runs:
            look = Look(run["predictions"])
            about = read_parquet(run["predictions"], columns=["image"]).attrs
            real = self._expected(_cell(run)) if run["real"] else digest_of_images(())
            look.same(about.get(TRAINED_ON), real, "what it was trained on")
            draw = self._draw_paths[int(run["draw"])]
            wanted = {"labels": self._labels_path, "split": self._split_path, "draw": draw}
            wanted |= self._banks_of(run)
            if run["unlabelled"]:
                wanted["pretrained"] = self._pretrained[int(run["seed"])]
            inputs = about.get("provenance", {}).get("inputs", {})
            for name, path in wanted.items():
                look.same(inputs.get(name), self._sha(path), f"its {name}")
            more = sorted(
                name for name in inputs if name.startswith("bank ") and name not in wanted
            )
            look.none_of(more, 0, "banks do not belong to this arm")
            more = sorted({"pretrained"} & set(inputs) - set(wanted))
            look.none_of(more, 0, "networks do not belong to this arm")
            yield look

    def _banks_of(self, run) -> dict[str, Any]:
        """The banks that a run adds, by what its provenance calls them."""
        here = {
            (recipe, finding): path
            for (recipe, *cell, finding), path in self._banks.items()
            if tuple(cell) == _cell(run)
        }
        wanted = {
            f"bank {finding}": path
            for (recipe, finding), path in here.items()
            if finding is not None and recipe == run["recipe"]
        }
        if run["negatives"] == PAIRED:
            wanted |= {
                f"bank {NEGATIVES} {finding}": path
                for (recipe, finding), path in here.items()
                if recipe == paired(run["recipe"])
            }
        elif run["negatives"]:
            wanted[f"bank {NEGATIVES}"] = here[BASE, None]
        return wanted

    def predictions(self) -> Iterator[Look]:
        for run in self._runs:
            look = Look(run["predictions"])
            table = read_parquet(run["predictions"], columns=["image", "patient", "split"])
            patients = table["image"].map(self._patient_of)
            wrong = table.loc[table["patient"] != patients, "image"].tolist()
            look.none_of(wrong, len(table), "images have another patient than in the study")
            splits = patients.map(self._split_of)
            wrong = table.loc[table["split"] != splits, "image"].tolist()
            look.none_of(wrong, 0, "images have another split than their patient")
            wrong = table.loc[~splits.isin(JUDGED), "image"].tolist()
            look.none_of(wrong, 0, "images are of patients who are not for testing or validation")
            trained = table.loc[patients.isin(self._fraction(run)), "image"].tolist()
            look.none_of(trained, 0, "images are of patients that the run was trained on")
            yield look

    def external_images(self) -> Iterator[Look]:
        splits = self._patient_of.map(self._split_of)
        yield from images_of_sets(self._sets, set(splits.index[~splits.isin(_NEVER_USED)]))

    def external_predictions(self) -> Iterator[Look]:
        yield from predictions_of_sets(self._sets, self._runs, self._sha)

    def mixtures(self) -> Iterator[Look]:
        for found in compare(self._origins()):
            look = Look(found.path)
            look.items, look.problems, look.noted = found.compared, found.wrong, len(found.noted)
            for line in found.noted:
                log.warning("%s: %s", found.path, line)
            yield look

    def _origins(self) -> Iterator[Origin]:
        """What every file says of how it was made."""
        for gan in self._gans.values():
            about = from_attributes(ImageFile(gan["training_set"]).attributes)
            own = {"settings.filters": gan["recipe"]}
            yield Origin(gan["training_set"], "training set", about, own=own)
        for path in self._validation_sets:
            yield Origin(path, "validation set", from_attributes(ImageFile(path).attributes))
        for gan in self._gans.values():
            about = read_json(gan["metadata"], ["code", "seed", "settings", "study"])
            # The settings of a finding's GANs are not all the base's.
            own_kind = (BASE, CONDITIONAL, UNLABELLED)
            kind = f"GAN {gan['recipe'] if gan['recipe'] in own_kind else ''}"
            yield Origin(gan["metadata"], kind, about, _in_settings(gan, _OF_A_GAN))
        for place, path in self._banks.items():
            with Bank(path) as bank:
                about = from_attributes(bank.attributes)
            gan = dict(zip(("recipe", "fraction", "draw", "finding"), place, strict=True))
            own = {"settings.number": None}
            yield Origin(path, "bank", about, _in_settings(gan, _OF_A_GAN), own)
        for (fraction, draw), path in self._features.items():
            about = read_tensor_file(path, "a classifier file")["provenance"]
            cell = {"fraction": fraction, "draw": draw}
            yield Origin(path, "feature network", about, _in_settings(cell))
        for seed, path in self._pretrained.items():
            about = read_tensor_file(path, "a pretrained network")["provenance"]
            yield Origin(path, "pretrained network", about, {"seed": seed})
        for run in self._runs:
            about = read_parquet(run["predictions"], columns=["image"]).attrs.get("provenance", {})
            own = {f"settings.{name}": run["arm"] for name in _OF_AN_ARM}
            place = _in_settings(run) | {"seed": run["seed"]}
            yield Origin(run["predictions"], "run", about, place, own)

        for one in self._sets.files:
            for run, path in zip(self._runs, one.predictions, strict=True):
                about = read_parquet(path, columns=["image"]).attrs.get("provenance", {})
                place = _in_settings(run) | {"seed": run["seed"]}
                yield Origin(path, f"predictions for {one.name}", about, place)

    def _labels(self, finding) -> pd.Series:
        """The labels of a finding, by image."""
        if finding not in self._label_of:
            table = read_parquet(self._labels_path, columns=["image", finding])
            self._label_of[finding] = table.set_index("image")[finding]
        return self._label_of[finding]

    def _fraction(self, place) -> set[str]:
        key = _cell(place)
        if key not in self._inside:
            self._inside[key] = set(fraction_patients(self._draw_paths[key[1]], key[0]))
        return self._inside[key]

    def _expected(self, key) -> dict[str, Any]:
        """What a network of a fraction and draw must say that it was trained on."""
        if key not in self._trained_on:
            inside = self._fraction({"fraction": key[0], "draw": key[1]})
            images = self._patient_of.index[self._patient_of.isin(inside)]
            self._trained_on[key] = digest_of_images(set(images) - self._rejected)
        return self._trained_on[key]

    def _sha(self, path) -> str:
        if str(path) not in self._digests:
            self._digests[str(path)] = sha256(path)
        return self._digests[str(path)]


def _in_settings(place: Mapping[str, Any], names: Sequence[str] = ()) -> dict[str, Any]:
    """What the settings of a file must say of its place, by key."""
    fraction, draw = _cell(place)
    found = {"settings.fraction": fraction, "settings.draw": draw}
    values = {"finding": place.get("finding") or NEGATIVES, "recipe": place.get("recipe")}
    return found | {f"settings.{name}": values[name] for name in names}


def _images_of(path: str | os.PathLike) -> pd.Series:
    """The names of the images that a training or validation set holds."""
    return pd.Series(ImageFile(path).columns["image"], dtype=object)


def _cell(place: Mapping[str, Any]) -> tuple[float, int]:
    return float(place["fraction"]), int(place["draw"])


def _place(gan: Mapping[str, Any]) -> tuple[str, float, int, str | None]:
    return gan["recipe"], *_cell(gan), gan["finding"]


def _belongs(look: Look, about: Mapping[str, Any], gan: Mapping[str, Any]) -> None:
    """A training set's or bank's own words of whose it is, against its place."""
    look.same(str(about.get("recipe")), gan["recipe"], "its recipe")
    look.same(about.get("finding"), gan["finding"] or NEGATIVES, "its finding")
    look.same(float(about.get("fraction", "nan")), float(gan["fraction"]), "its fraction")
    look.same(int(about.get("draw", -1)), int(gan["draw"]), "its draw")


# What each check promises, in the order in which they are made and listed.
_CHECKS: dict[str, tuple[str, Callable[[_Study], Iterator[Look]]]] = {
    "splits": ("every patient is in one split", _Study.splits),
    "copies": (
        "no picture is listed for patients of different splits; those noted are, saved as"
        " different files",
        _Study.copies,
    ),
    "draws": ("draws hold training patients alone", _Study.draws_hold_training_patients),
    "training sets": (
        "GANs were trained on training patients of their fraction alone; one of unlabelled images,"
        " on training patients",
        _Study.training_sets,
    ),
    "validation sets": (
        "synthetic images are measured against validation patients alone",
        _Study.validation_sets,
    ),
    "nested fractions": ("a smaller fraction is a part of a larger one", _Study.nested),
    "generators": (
        "GANs come from their own training set and their fraction's base, or all from one that"
        " saw no label",
        _Study.generators,
    ),
    "banks": ("banks come from the GANs of their own fraction and draw", _Study.banks),
    "networks of the features": (
        "what chose among checkpoints and images was trained on its fraction's images alone",
        _Study.features,
    ),
    "pretrained networks": (
        "networks pretrained without labels saw the images of all training patients, and no others",
        _Study.pretrainings,
    ),
    "reserve": (
        "patients set apart are in no fraction, training set, validation or test set, and in"
        " no classifier but as positives of an arm that asks for them",
        _Study.reserve,
    ),
    "classifiers": (
        "classifiers were trained on their fraction's images and banks alone, and where an arm asks"
        " for it started from its seed's pretrained network",
        _Study.classifiers,
    ),
    "mixtures": (
        "files of one kind were made with the same settings, seeds and data; those noted, with"
        " other code, versions or precision",
        _Study.mixtures,
    ),
    "predictions": (
        "predictions are of validation and test patients, in their own split",
        _Study.predictions,
    ),
    "external images": (
        "no image of an external test set is one that was trained on, validated with or set apart",
        _Study.external_images,
    ),
    "external predictions": (
        "predictions for an external test set are of each run's own network, for the images and"
        " patients of the set's labels",
        _Study.external_predictions,
    ),
}
