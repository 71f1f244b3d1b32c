"""What the classifiers of two arms rest on: which images are shown, and their occlusion maps."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rarecxr.bank.bank_file import Bank
from rarecxr.classifier.images import DeviceImages, Part
from rarecxr.classifier.map_file import MapFile, write_maps
from rarecxr.classifier.occlusion import occlusion_maps
from rarecxr.classifier.prediction import read_model
from rarecxr.classifier.prediction_file import read_predictions
from rarecxr.classifier.windows import window_and_stride
from rarecxr.core.devices import choose_device
from rarecxr.core.order import evenly
from rarecxr.core.processor import use_processor
from rarecxr.core.provenance import provenance
from rarecxr.core.tables import read_parquet
from rarecxr.data.image_file import ImageFile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExplanationInputs:
    """What maps are made from: paths.

    Attributes:
        pixels: the pixel cache.
        labels: `labels.parquet`.
        models: `model.pt` of each arm.
        predictions: `predictions.parquet` of each arm.
        bank: the bank of the finding that one of the arms was trained on, or None.
    """

    pixels: str | os.PathLike
    labels: str | os.PathLike
    models: Mapping[str, str | os.PathLike]
    predictions: Mapping[str, str | os.PathLike]
    bank: str | os.PathLike | None = None

    def files(self) -> dict[str, str | os.PathLike]:
        """The files whose digests say what the maps were made from: all but the pixel cache."""
        files = {"labels": self.labels}
        files |= {f"model {arm}": path for arm, path in self.models.items()}
        files |= {f"predictions {arm}": path for arm, path in self.predictions.items()}
        return files | ({"bank": self.bank} if self.bank else {})


def explain_classifiers(
    inputs: ExplanationInputs,
    maps: str | os.PathLike,
    finding: str,
    number: int,
    run: Mapping[str, Any],
    study: str,
    device: str = "auto",
    threads: int = 1,
    code: str | None = None,
) -> None:
    """Write occlusion maps of real and synthetic images of one finding (`MapFile`).

    Real images are test images with the finding, at most one of a patient: from the highest-scoring
    one to the median, at equal distances in rank (`positives_by_score`). Synthetic ones are at
    equal distances through the bank. Nobody picks them.

    Args:
        inputs: what they are made from.
        maps: the file to write.
        finding: the finding.
        number: real images, and synthetic ones, at most.
        run: fraction, draw and seed of the runs, and the recipe of the bank.
        study: name of the study.
        device: cpu, cuda or auto.
        threads: of the CPU.
        code: digest of the code.

    Raises:
        ValueError: the files do not fit each other.
    """
    use_processor(threads)
    where = choose_device(device)
    networks = {arm: read_model(path) for arm, path in inputs.models.items()}
    resolutions = {about["settings"]["resolution"] for _, about in networks.values()}
    if len(resolutions) != 1:
        raise ValueError(
            f"{', '.join(map(str, inputs.models.values()))}: networks of one study see images of "
            f"one size, these of {' and '.join(map(str, sorted(resolutions)))} pixels"
        )
    (side,) = resolutions
    ranked = positives_by_score(inputs, finding)
    shown = evenly(ranked["image"].to_numpy()[: len(ranked) // 2 + 1], number)
    cache = ImageFile(inputs.pixels)
    parts, names, in_bank = [Part(cache, cache.rows_of(shown))], list(shown), 0
    if inputs.bank is None:
        images = DeviceImages(parts, side, where)
    else:
        with Bank(inputs.bank) as bank:
            in_bank = len(bank)
            chosen = evenly(np.arange(in_bank), number)
            images = DeviceImages([*parts, Part(bank, chosen)], side, where)
        names += [str(place) for place in chosen]
    pixels = images.pixels.unsqueeze(1).float().div_(255)
    found, logits = [], []
    for arm, (network, about) in networks.items():
        if finding not in about["findings"]:
            raise ValueError(
                f"{inputs.models[arm]}: a classifier without {finding}, of "
                f"{', '.join(about['findings'])}"
            )
        output = list(about["findings"]).index(finding)
        fallen, logit = occlusion_maps(network.to(where), pixels, output, about["architecture"])
        found.append(fallen.numpy())
        logits.append(logit.numpy())
        log.info("%s, %s: largest fall of the logit %.3g", finding, arm, fallen.amax().item())
    window, stride = window_and_stride(side)
    settings = {**run, "arms": list(networks), "finding": finding, "images": number}
    made_by = provenance(study, settings, inputs.files(), code=code)
    content = MapFile(
        images=images.pixels.cpu().numpy(),
        synthetic=np.arange(len(names)) >= len(shown),
        names=np.array(names, dtype=np.str_),
        logits=np.stack(logits, axis=1),
        maps=np.stack(found, axis=1),
        about={
            **run,
            "arms": list(networks),
            "finding": finding,
            "positives": int(ranked["images"].sum()),
            "patients": len(ranked),
            "bank": in_bank,
            "architecture": about["architecture"],
            "window_px": window,
            "stride_px": stride,
            "provenance": made_by,
        },
    )
    write_maps(maps, content)


def positives_by_score(inputs: ExplanationInputs, finding: str) -> pd.DataFrame:
    """Test patients with a finding, each by the image that scores highest, the highest one first.

    An image's score is its rank among the test images with the finding, as a share and averaged
    over the arms, so that no arm chooses what the other is shown with.

    Returns:
        `image`, the key of the patient's image, `patient`, `score` and `images`, how many test
        images of the patient show the finding.
    """
    labels = read_parquet(inputs.labels, columns=["image", finding])
    positive = labels.loc[labels[finding] == 1, "image"]
    scores: list[pd.Series] = []
    for path in inputs.predictions.values():
        table = read_predictions(path)
        table = table[(table["split"] == "test") & table["image"].isin(positive)]
        scores.append(table.set_index("image")[finding].rank(pct=True))
    table = table[["image", "patient"]].assign(score=sum(scores).loc[table["image"]].to_numpy())
    table["score"] /= len(scores)
    table = table.sort_values(["score", "image"], ascending=[False, True])
    counts = table.groupby("patient")["image"].transform("size")
    return table.assign(images=counts).drop_duplicates("patient").reset_index(drop=True)
