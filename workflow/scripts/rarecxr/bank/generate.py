"""A bank of synthetic images from a trained generator."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rarecxr.bank.bank_file import write_bank
from rarecxr.bank.selection import KEPT, CopyFilter, Selection, select_images
from rarecxr.core.devices import choose_device, to_device
from rarecxr.core.files import sha256
from rarecxr.core.job_log import Progress
from rarecxr.core.processor import use_processor
from rarecxr.core.provenance import GENERATOR_DIGEST, TRAINING_DIGEST, provenance
from rarecxr.data.image_file import ImageFile
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.gan.labels import read_labels
from rarecxr.gan.pixels import to_uint8
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.study.configuration.bank import BankSettings, SelectionSettings
from rarecxr.study.place import Place
from rarecxr.study.seeds import seed_for

# Latents come in blocks with a seed each, so that any image can be made again without the
# others, whatever the batch.
LATENT_BLOCK = 1024


@dataclass(frozen=True)
class BankInputs:
    """What a bank is made from: paths.

    Attributes:
        generator: generator.pt.
        training_set: the training_set.h5 that the generator was trained on.
        sizes_from: training sets of the positives whose banks this bank of negatives is to
            match together; None for the bank's own training set.
        labels_from: for a conditional GAN, the training set whose images' label vectors are drawn
            from (those of a finding's real positives); None for the GAN's own training set.
        features: model.pt of a network that was trained on the fraction's real images alone,
            where the selection needs one, or None.
        weights_dir: folder of weight files for the feature space `imagenet`, or None.
    """

    generator: str | os.PathLike
    training_set: str | os.PathLike
    sizes_from: Sequence[str | os.PathLike] | None = None
    labels_from: str | os.PathLike | None = None
    features: str | os.PathLike | None = None
    weights_dir: str | os.PathLike | None = None

    def files(self) -> dict[str, str | os.PathLike]:
        """The files that there are, by name."""
        sizes = {f"sizes_{place}": path for place, path in enumerate(self.sizes_from or ())}
        named = {"labels": self.labels_from, "features": self.features}
        given = {name: path for name, path in named.items() if path is not None}
        return {"generator": self.generator, "training_set": self.training_set} | sizes | given


def make_bank(
    inputs: BankInputs,
    bank: str | os.PathLike,
    settings: BankSettings,
    place: Place,
    code: str | None = None,
) -> None:
    """Generate synthetic images and write them as a bank.

    Args:
        inputs: what it is made from.
        bank: HDF5 file to write.
        settings: the section `bank`. What became of every candidate of a selection is kept in the
            bank's group `candidates` (`rarecxr.bank.selection.Selection`), and counted in its
            attribute `selection`.
        place: what the bank is of. The bank's own seed, which is stored as its attribute `seed`,
            follows from it and from the settings'.
        code: digest of the code.

    Raises:
        ValueError: the generator was trained on another training set, the bank would be empty, or
            too few of the images that may be generated can be used.
    """
    use_processor(settings.threads)
    size = sum(bank_size(path, settings) for path in inputs.sizes_from or [inputs.training_set])
    if size < 1:
        raise ValueError(f"{bank}: the bank would be empty; raise bank.ratio or bank.number")
    content, training_digest = read_generator(inputs.generator, inputs.training_set)
    select = settings.select
    most = size if select is None else int(size * select.max_candidates)
    own_seed = seed_for(settings.seed, *place.for_seed())
    labels_from = inputs.labels_from or inputs.training_set
    source = Candidates(content, labels_from, settings, own_seed, most)
    selection = None
    if select is not None:
        # Images are generated twice, first to be chosen from, so that none need be held in memory.
        selection = _select(source, size, select, inputs, place.finding)

    made_from = {**settings.with_effect(), "number": size, **place.in_study()}
    attributes = {
        **provenance(place.study, made_from, inputs.files(), source.seed, code),
        **place.in_study(),
        GENERATOR_DIGEST: sha256(inputs.generator),
        TRAINING_DIGEST: training_digest,
        "generator_settings": content["settings"],
    }
    kept = np.arange(size)
    if selection is not None:
        kept = np.flatnonzero(selection.outcome == KEPT)
        attributes["selection"] = {**selection.counts(), **select.plain()}
    with Progress(size, "images", f"bank {place}") as progress:
        write_bank(
            bank,
            size,
            source.network.resolution,
            chosen_images(source.batches(), kept, progress),
            attributes,
            None if source.labels is None else source.labels[kept],
            source.label_names,
            None if selection is None else selection.columns(),
            settings.threads,
        )


def read_generator(
    generator: str | os.PathLike, training_set: str | os.PathLike
) -> tuple[dict[str, Any], str]:
    """The content of a generator.pt, and the SHA-256 of the training set that it was trained on.

    Raises:
        ValueError: it was trained on another one.
    """
    content, digest = read_checkpoint(generator), sha256(training_set)
    if content["provenance"]["inputs"].get("images") != digest:
        raise ValueError(f"{generator}: was not trained on {training_set}; train it again")
    return content, digest


def bank_size(training_set: str | os.PathLike, settings: BankSettings) -> int:
    """Images in the bank of one training set's finding; filtered copies do not count as positives.

    Raises:
        ValueError: neither bank.ratio nor bank.number is given for this finding.
    """
    source = ImageFile(training_set)
    finding = source.attributes["finding"]
    size = settings.size(finding, len(source.unfiltered))
    if size is None:
        raise ValueError(f"bank: neither ratio nor number is given for {finding}")
    return size


def generate_images(
    network: torch.nn.Module,
    latents: torch.Tensor,
    labels: torch.Tensor | None = None,
) -> np.ndarray:
    """Images of a generator, (N, R, R) uint8, computed in float32."""
    return _begin_generating(network, latents, labels)()


def bank_latents(seed: int, first: int, count: int, latent_size: int) -> torch.Tensor:
    """Latents of images `first` to `first + count - 1` of a bank, (count, latent_size) float32."""
    blocks = range(first // LATENT_BLOCK, (first + count - 1) // LATENT_BLOCK + 1)
    rows = [_latent_block(seed, block, latent_size) for block in blocks]
    start = first % LATENT_BLOCK
    return torch.cat(rows)[start : start + count]


# The last ones are kept: several batches come from one block, and one may come from two.
@functools.lru_cache(maxsize=2)
def _latent_block(seed: int, block: int, latent_size: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed_for(seed, "latents", block))
    return torch.randn(LATENT_BLOCK, latent_size, generator=random)


class Candidates:
    """All images that a generator may draw for one bank, in a fixed order.

    Args:
        content: of the generator.pt.
        labels_from: training set of the label vectors of a conditional GAN's images.
        settings: the section `bank`.
        seed: the bank's own.
        count: number of images.

    Attributes:
        network: the generator, on its device.
        device: where it computes.
        seed: the bank's own.
        labels: (count, L) float32, what the images of a conditional GAN are drawn with, or None.
        label_names: L names.
    """

    def __init__(
        self,
        content: dict[str, Any],
        labels_from: str | os.PathLike,
        settings: BankSettings,
        seed: int,
        count: int,
    ):
        self.device = choose_device(settings.device)
        network = networks_from(content)[0].to(self.device, memory_format=torch.channels_last)
        self.network, self.seed = network.eval(), seed
        self.labels, self.label_names = None, content["settings"]["label_names"]
        if self.label_names:
            real, _ = read_labels(labels_from, self.label_names)
            own = np.random.default_rng(seed_for(seed, "labels"))
            self.labels = np.nan_to_num(real[own.integers(len(real), size=count)])
        self._count, self._batch_size = count, settings.batch_size

    def batches(self) -> Iterator[np.ndarray]:
        """The images; a GPU makes the next batch while the caller is busy with this one."""
        ahead = None
        for first in range(0, self._count, self._batch_size):
            begin = functools.partial(_begin_generating, self.network, *self._vectors(first))
            if self.device.type == "cpu":
                yield begin()()
                continue
            before, ahead = ahead, begin()
            if before is not None:
                yield before()
        if ahead is not None:
            yield ahead()

    def _vectors(self, first):
        """Latents, and labels or None, of the batch that begins with image `first`."""
        count = min(self._batch_size, self._count - first)
        latents = bank_latents(self.seed, first, count, self.network.latent_size)
        labels = None
        if self.labels is not None:
            labels = to_device(torch.from_numpy(self.labels[first : first + count]), self.device)
        return to_device(latents, self.device), labels


def _select(
    source: Candidates, size: int, settings: SelectionSettings, inputs: BankInputs, finding: str
) -> Selection:
    copies = plausibility = None
    if settings.copies is not None:
        space = FeatureSpace(settings.space, source.device, inputs.features, inputs.weights_dir)
        copies = CopyFilter(space, ImageFile(inputs.training_set), settings.copies)
    if settings.implausible:
        # Here and not above: most banks need no network to choose by, and torchvision loads slowly.
        from rarecxr.classifier.plausibility import Plausibility

        plausibility = Plausibility(inputs.features, finding, source.device)
    return select_images(source.batches(), size, copies, plausibility, settings.implausible)


def chosen_images(batches, kept, progress):
    """The images of numbers `kept`, which rise, in batches as they come."""
    first = 0
    for images in batches:
        inside = kept[(kept >= first) & (kept < first + len(images))] - first
        first += len(images)
        if len(inside):
            progress.update(len(inside))
            yield images[inside]
        if first > kept[-1]:
            return


def _begin_generating(network, latents, labels) -> Callable[[], np.ndarray]:
    """Start to generate images on the device; the function returned waits for them."""
    with torch.inference_mode():
        images = to_uint8(network(latents, labels)[:, 0])
        if images.device.type == "cpu":
            return images.numpy
        # Only a copy into pinned memory leaves the host free, and only an event can be waited for
        # without waiting for the batch after.
        host = torch.empty(images.shape, dtype=images.dtype, pin_memory=True)
        host.copy_(images, non_blocking=True)
        done = torch.cuda.Event()
        done.record()

    def wait() -> np.ndarray:
        done.synchronize()
        return host.numpy()

    return wait
