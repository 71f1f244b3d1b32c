"""Pixels for training: uint8 in the device's memory where they fit, else mapped from disk.

Where they lie changes how fast they come and nothing else: order, values and resizing are
the same. Real and synthetic images take the same way.
"""

import functools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from rarecxr.core.devices import to_device
from rarecxr.data.resize import repeated_coverage

log = logging.getLogger(__name__)


class Source(Protocol):
    """A file of images: `rarecxr.data.image_file.ImageFile` or `rarecxr.bank.bank_file.Bank`."""

    packed: bool
    resolution: int

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Images by row, (n, r, r) uint8; of files that are not packed."""

    def parts(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images in the order of the file, some at a time: places in `rows`, and (n, r, r)."""


@dataclass(frozen=True)
class Part:
    """Some images of one file that is open for reading, by their rows (n,) int64."""

    source: "Source"
    rows: np.ndarray


class DeviceImages:
    """Images at the classifier's resolution, as (N, R, R) uint8 on the device."""

    def __init__(self, parts: Sequence[Part], resolution: int, device: torch.device):
        count = sum(len(part.rows) for part in parts)
        self.pixels = torch.empty((count, resolution, resolution), dtype=torch.uint8, device=device)
        begin = 0
        for part in parts:
            for places, block in part.source.parts(part.rows):
                places = torch.from_numpy(places).to(device) + begin
                self.pixels[places] = resize(torch.from_numpy(block).to(device), resolution)
            begin += len(part.rows)

    def __len__(self) -> int:
        return len(self.pixels)

    def batches(self, order: np.ndarray, batch: int) -> Iterator[torch.Tensor]:
        """The images of `order`, `batch` at a time, as (n, 1, R, R) float32 in [0, 1]."""
        places = torch.from_numpy(order).to(self.pixels.device)
        for chosen in places.split(batch):
            yield self.pixels.index_select(0, chosen).unsqueeze(1).float().div_(255)


class MappedImages:
    """Images that are read when they are used, and resized then.

    Files of real images are read as they are. Banks are compressed and unpacked first, into files
    of the scratch folder.
    """

    def __init__(self, parts: Sequence[Part], resolution: int, device: torch.device, scratch: Path):
        self.resolution, self.device = resolution, device
        self.sources = [_mapped(part, scratch / f"{i}.u8") for i, part in enumerate(parts)]
        self.begins = np.cumsum([0, *(len(part.rows) for part in parts)])

    def __len__(self) -> int:
        return int(self.begins[-1])

    def batches(self, order: np.ndarray, batch: int) -> Iterator[torch.Tensor]:
        """The images of `order`, `batch` at a time, as (n, 1, R, R) float32 in [0, 1].

        The next batch is read while the caller is busy with this one.
        """
        starts = range(0, len(order), batch)
        with ThreadPoolExecutor(1) as reader:
            coming = deque(reader.submit(self._read, order[: starts.step]) for _ in starts[:1])
            for start in starts:
                read = coming.popleft().result()
                after = order[start + batch : start + 2 * batch]
                coming.append(reader.submit(self._read, after))
                yield self._on_device(read, len(order[start : start + batch]))

    def _read(self, order: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Places in the batch and the pixels that belong there, for every source that has some."""
        source = np.searchsorted(self.begins, order, side="right") - 1
        found = []
        for number in np.unique(source):
            places = np.flatnonzero(source == number)
            read, rows = self.sources[number]
            found.append((places, read(rows[order[places] - self.begins[number]])))
        return found

    def _on_device(self, read, count: int) -> torch.Tensor:
        shape = (count, self.resolution, self.resolution)
        images = torch.empty(shape, dtype=torch.uint8, device=self.device)
        for places, pixels in read:
            block = to_device(torch.from_numpy(pixels), self.device)
            images[to_device(torch.from_numpy(places), self.device)] = resize(
                block, self.resolution
            )
        return images.unsqueeze(1).float().div_(255)


def load_images(
    parts: Sequence[Part],
    resolution: int,
    device: torch.device,
    pixel_memory_mib: float,
    scratch: Path,
) -> DeviceImages | MappedImages:
    """All images of the parts, one after the other.

    Args:
        parts: what to load.
        resolution: side of the images that come out, in pixels.
        device: where they are used.
        pixel_memory_mib: size up to which they are held in the device's memory, in MiB.
        scratch: folder for unpacked files where they are not.
    """
    size = sum(len(part.rows) for part in parts) * resolution**2
    if size <= pixel_memory_mib * 2**20:
        return DeviceImages(parts, resolution, device)
    log.info("%d MiB of pixels are more than the limit: mapped from disk", size >> 20)
    return MappedImages(parts, resolution, device, scratch)


def resize(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """Square images (N, r, r) uint8 at another resolution, rounded to uint8.

    A smaller image's pixel is the mean of the area that it covers, as in the pixel cache. A
    larger image is interpolated bilinearly.
    """
    side = images.shape[-1]
    if side == resolution:
        return images
    values = images.float()
    if side % resolution == 0:
        values = F.avg_pool2d(values[:, None], side // resolution)[:, 0]
    elif side > resolution:
        # In blocks: from 256 to 224 pixels 8 become 7, over and over.
        weights = _block(side, resolution).to(images.device)
        count, taken = len(values), weights.shape[1]
        blocks = side // taken
        rows = weights @ values.view(count, blocks, taken, side)
        columns = rows.view(count, resolution, blocks, taken) @ weights.T
        values = columns.view(count, resolution, resolution)
    else:
        values = F.interpolate(
            values[:, None], size=(resolution, resolution), mode="bilinear", align_corners=False
        )[:, 0]
    return values.round().clamp(0, 255).to(torch.uint8)


@functools.lru_cache(maxsize=8)
def _block(side: int, resolution: int) -> torch.Tensor:
    return torch.from_numpy(repeated_coverage(side, resolution))


def _mapped(part: Part, scratch: Path) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """A function that gives pixels by row without unpacking any, and the part's rows there."""
    if not part.source.packed:
        return part.source.read, part.rows
    scratch.parent.mkdir(parents=True, exist_ok=True)
    side = part.source.resolution
    pixels = np.memmap(scratch, np.uint8, "w+", shape=(len(part.rows), side, side))
    for places, block in part.source.parts(part.rows):
        pixels[places] = block
    return pixels.__getitem__, np.arange(len(part.rows))
