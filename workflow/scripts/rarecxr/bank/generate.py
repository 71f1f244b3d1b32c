"""A bank of synthetic images from a trained generator."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rarecxr.bank.bank_file import write_bank
from rarecxr.bank.selection import KEPT, CopyFilter, Plausibility, Selection, select_images
from rarecxr.core.devices import choose_device, to_device
from rarecxr.core.files import sha256
from rarecxr.core.job_log import Progress
from rarecxr.core.provenance import provenance
from rarecxr.data.image_file import ImageFile
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.gan.labels import read_labels
from rarecxr.gan.pixels import to_uint8
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.study.by_finding import ByFinding, for_finding
from rarecxr.study.findings import slug
from rarecxr.study.seeds import seed_for

# Latents come in blocks with a seed each, so that any image can be made again without the
# others, whatever the batch.
LATENT_BLOCK = 1024


def make_bank(
    *,
    generator: str | os.PathLike,
    training_set: str | os.PathLike,
    bank: str | os.PathLike,
    seed: int,
    study: str,
    finding: str,
    recipe: str,
    fraction: float,
    draw: int,
    batch_size: int,
    threads: int,
    labels_from: str | os.PathLike | None = None,
    ratio: ByFinding = None,
    number: ByFinding = None,
    sizes_from: Sequence[str | os.PathLike] | None = None,
    select: Mapping[str, Any] | None = None,
    features: str | os.PathLike | None = None,
    weights_dir: str | os.PathLike | None = None,
    code: str | None = None,
    device: str = "auto",
) -> None:
    """Generate synthetic images and write them as a bank.

    Args:
        generator: generator.pt.
        training_set: the training_set.h5 that the generator was trained on.
        bank: HDF5 file to write.
        seed: of the study's banks. The bank's own seed, which is stored as its attribute `seed`,
            follows from it and from finding, recipe, fraction and draw.
        study: name of the study.
        finding: name of the finding, or `rarecxr.study.findings.NEGATIVES`.
        recipe: name of the recipe.
        fraction: percent of the training patients.
        draw: number of the draw.
        batch_size: images in each forward pass.
        threads: CPU threads.
        ratio: synthetic images for each real positive; see `bank_size`.
        number: synthetic images; takes the place of `ratio` where it is given.
        sizes_from: training sets of the positives whose banks this bank of negatives is to
            match together. Default: the bank's own training set.
        labels_from: for a conditional GAN, the training set whose images' label vectors are drawn
            from (those of a finding's real positives). Default: the GAN's own training set.
        select: how images are selected, or None to take all: space, copies, implausible and
            max_candidates, as the section `bank.select` has them. What became of every candidate is
            kept in the bank's group `candidates` (`rarecxr.bank.selection.Selection`), and
            counted in its attribute `selection`.
        features: model.pt of a network that was trained on the fraction's real images alone,
            where the selection needs one.
        weights_dir: folder of weight files for the feature space `imagenet`.
        code: digest of the code.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: the generator was trained on another training set, the bank would be empty, or
            too few of the images that may be generated can be used.
    """
    torch.set_num_threads(threads)
    if sizes_from is None:
        sources = [training_set]
    else:
        sources = [sizes_from] if isinstance(sizes_from, str | os.PathLike) else list(sizes_from)
    size = sum(bank_size(source, ratio, number) for source in sources)
    if size < 1:
        raise ValueError(f"{bank}: the bank would be empty; raise bank.ratio or bank.number")
    content = read_checkpoint(generator)
    training_digest = sha256(training_set)
    if content["provenance"]["inputs"].get("images") != training_digest:
        raise ValueError(f"{generator}: was not trained on {training_set}; train it again")
    where = choose_device(device)
    own_seed = seed_for(seed, slug(finding), recipe, fraction, draw)
    network = networks_from(content)[0].to(where, memory_format=torch.channels_last).eval()
    labels, label_names = None, content["settings"]["label_names"]
    most = size if select is None else int(size * select["max_candidates"])
    if label_names:
        real, _ = read_labels(labels_from or training_set, label_names)
        own = np.random.default_rng(seed_for(own_seed, "labels"))
        labels = np.nan_to_num(real[own.integers(len(real), size=most)])
    selection = None
    if select is not None:
        # Images are generated twice, first to be chosen from, so that none need be held in memory.
        candidates = _batches(network, most, own_seed, batch_size, labels, where)
        selection = _select(
            candidates, size, select, training_set, finding, features, weights_dir, where
        )

    settings = {
        "batch_size": batch_size,
        "number": size,
        "seed": seed,
        "finding": finding,
        "recipe": recipe,
        "fraction": fraction,
        "draw": draw,
        "threads": threads,
        "select": None if select is None else dict(select),
    }
    inputs = {"generator": generator, "training_set": training_set}
    if sizes_from is not None:
        inputs |= {f"sizes_{place}": path for place, path in enumerate(sources)}
    if labels_from is not None:
        inputs["labels"] = labels_from
    if features is not None:
        inputs["features"] = features
    attributes = provenance(study, settings, inputs, own_seed, code) | {
        "finding": finding,
        "recipe": recipe,
        "fraction": fraction,
        "draw": draw,
        "generator_digest": sha256(generator),
        "training_digest": training_digest,
        "generator_settings": content["settings"],
    }
    kept = np.arange(size)
    if selection is not None:
        kept = np.flatnonzero(selection.outcome == KEPT)
        attributes["selection"] = {**selection.counts(), **dict(select)}
    with Progress(size, "images", f"bank {recipe} {finding} {fraction:g} %") as progress:
        candidates = _batches(network, most, own_seed, batch_size, labels, where)
        write_bank(
            bank,
            size,
            network.resolution,
            _only(candidates, kept, progress),
            attributes,
            None if labels is None else labels[kept],
            label_names,
            None if selection is None else selection.columns(),
            threads,
        )


def bank_size(training_set: str | os.PathLike, ratio: ByFinding, number: ByFinding) -> int:
    """Images in the bank of one training set's finding.

    `number` where it is given, else `ratio` times the real positives, rounded. Filtered copies
    do not count. Both may be mappings by finding (its name or its
    name in paths) with the key `default`.

    Raises:
        ValueError: neither of the two is given for this finding.
    """
    source = ImageFile(training_set)
    finding, real = source.attributes["finding"], len(source.unfiltered)
    size = for_finding(number, finding)
    if size is not None:
        return int(size)
    share = for_finding(ratio, finding)
    if share is None:
        raise ValueError(f"bank: neither ratio nor number is given for {finding}")
    return round(share * real)


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


def _select(
    candidates, size, select, training_set, finding, features, weights_dir, device
) -> Selection:
    copies = plausibility = None
    if select["copies"] is not None:
        space = FeatureSpace(select["space"], device, features, weights_dir)
        copies = CopyFilter(space, ImageFile(training_set), select["copies"])
    if select["implausible"]:
        plausibility = Plausibility(features, finding, device)
    return select_images(candidates, size, copies, plausibility, select["implausible"])


def _only(batches, kept, progress):
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


def _batches(network, size, seed, batch, labels, device) -> Iterator[np.ndarray]:
    """Images 0 to `size` - 1; a GPU makes the next batch while the caller is busy with this one."""
    ahead = None
    for first in range(0, size, batch):
        count = min(batch, size - first)
        latents = to_device(bank_latents(seed, first, count, network.latent_size), device)
        rows = None
        if labels is not None:
            rows = to_device(torch.from_numpy(labels[first : first + count]), device)
        if device.type == "cpu":
            yield generate_images(network, latents, rows)
            continue
        before, ahead = ahead, _begin_generating(network, latents, rows)
        if before is not None:
            yield before()
    if ahead is not None:
        yield ahead()


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
