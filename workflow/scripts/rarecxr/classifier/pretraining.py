"""The network that arms with unlabelled images start from: trained on them without any label."""

import logging
import os
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rarecxr.classifier.images import Part, load_images
from rarecxr.classifier.pretrained_file import write_pretrained
from rarecxr.classifier.self_supervised import Procedure, Projection, SelfSupervisedFit
from rarecxr.classifier.start import set_up, starting_network
from rarecxr.core.files import written_whole
from rarecxr.core.provenance import TRAINED_ON, digest, digest_of_images, provenance
from rarecxr.core.resume import ResumeStore
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.image_file import ImageFile
from rarecxr.study.configuration.classifier import NetworkSettings, SelfSupervisedSettings
from rarecxr.study.configuration.training import TransformSettings

log = logging.getLogger(__name__)

PathLike = str | os.PathLike


@dataclass(frozen=True)
class Pool:
    """The files that say which images are learned from, none of which is read for a label.

    Attributes:
        pixels: the pixel cache, `pixels_{resolution}.h5`.
        images: the index of images that could be read, `readable.parquet`.
        split: `split.csv`.
    """

    pixels: PathLike
    images: PathLike
    split: PathLike

    def chosen(self) -> pd.DataFrame:
        """The images of all training patients, sorted by image: image, place (row of the cache).

        Raises:
            ValueError: the files do not fit each other, or there is no such image.
        """
        table = read_parquet(self.images, columns=["image", "patient"])
        splits = read_csv(self.split, ["patient", "split"], str).set_index("patient")["split"]
        chosen = table.loc[table["patient"].map(splits) == "train", ["image"]]
        if chosen.empty:
            raise ValueError(f"{self.split}: no image of split train is in {self.images}")
        chosen = chosen.sort_values("image", ignore_index=True)
        chosen["place"] = ImageFile(self.pixels).rows_of(chosen["image"])
        return chosen


def pretrain_classifier(
    *,
    pool: Pool,
    model: PathLike,
    history: PathLike,
    state: PathLike,
    study: str,
    seed: int,
    network: NetworkSettings,
    settings: SelfSupervisedSettings,
    transforms: TransformSettings,
    code: str | None = None,
    lock_wait_s: float = 120.0,
) -> None:
    """Train a network on the images of all training patients, without any label.

    The patients are those whose split is train, in whichever fraction. `model` holds the network,
    with the first layer of the projection as its last one, and with the settings where it comes
    from: `provenance`, and `trained_on`, number and digest of the images.

    Args:
        pool: the images.
        model: the network, in the format of a file of weights.
        history: CSV file with one row per epoch, see `SelfSupervisedFit`.
        state: folder for what an interrupted training goes on from; no declared output.
        study: name of the study.
        seed: of initialization, order and views.
        network: which network, and how it is computed.
        settings: how it is trained.
        transforms: the random transforms of the views.
        code: digest of the code, for the provenance.
        lock_wait_s: how long to wait for another process that trains in `state`.

    Raises:
        ValueError: the files do not fit each other or the settings, or hold too few images.
        FileNotFoundError: pretrained weights cannot be had.
        FloatingPointError: the loss is no longer finite.
        KeyboardInterrupt: after SIGINT, when the state is saved.
        TimeoutError: another process trains in `state`.
    """
    device, precision = set_up(network)
    images = pool.chosen()
    log.info("%d images of training patients, without their labels", len(images))
    beginning, start = starting_network(network, settings.projection, seed)
    projection = Projection(beginning, settings.projection, seed)

    stated = settings.with_effect() | start
    stated |= {
        "architecture": network.architecture,
        "precision": precision,
        "resolution": network.resolution,
        "threads": network.threads,
        "transforms": transforms.with_effect(),
    }
    origin = provenance(study, stated, {"images": pool.images, "split": pool.split}, seed, code)
    cache = ImageFile(pool.pixels)
    digests = cache.columns["digest"][images["place"].to_numpy()]
    origin["inputs"]["pixels"] = digest(list(zip(images["image"], digests, strict=True)))
    identity = digest({"origin": origin, "device": device.type})

    with ResumeStore(state, identity, network.resume_interval_s, lock_wait_s) as store:
        pixels = load_images(
            [Part(cache, images["place"].to_numpy(np.int64))],
            network.resolution,
            device,
            network.pixel_memory_mib,
            store.scratch,
        )
        procedure = Procedure(settings, transforms, network.architecture, precision, device, seed)
        fit = SelfSupervisedFit(projection, pixels, procedure, store)
        fit.run()
        about = {
            "settings": stated,
            "provenance": origin,
            TRAINED_ON: digest_of_images(images["image"]),
        }
        write_pretrained(model, projection.network, network.architecture, about)
        with written_whole(history) as temporary:
            pd.DataFrame(fit.history).to_csv(temporary, index=False)
