"""The settings of a PGGAN, checked, and what they are at one resolution."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ARCHITECTURES = ("karras2018",)
LOSSES = ("wgan-gp", "r1")
CONDITIONINGS = ("none", "labels")
PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("auto", "cpu", "cuda")
KEPT = ("best", "last")

# Settings that change how long a run takes or what is watched, never what comes out of it.
WITHOUT_EFFECT = ("device", "resume_s", "tensorboard", "resident_gib")


@dataclass(frozen=True, kw_only=True)
class AdaSettings:
    """Settings of `gan.ada`, see `rarecxr.gan.augment`.

    Raises:
        ValueError: a value that is not allowed.
    """

    target: float = 0.6
    kimg: float = 100.0
    interval: int = 4
    start_p: float = 0.0
    max_p: float = 0.8
    rotation_deg: float = 10.0
    scale: float = 0.1
    shift: float = 0.05
    brightness: float = 0.1
    contrast: float = 0.2
    flip: bool = False

    def __post_init__(self):
        _positive("ada.kimg", self.kimg)
        _at_least("ada.interval", self.interval, 1)
        for name, low, high in (
            ("target", -1, 1),
            ("max_p", 0, 0.95),
            ("start_p", 0, self.max_p),
            ("rotation_deg", 0, 45),
            ("scale", 0, 0.5),
            ("shift", 0, 0.25),
            ("brightness", 0, 0.5),
            ("contrast", 0, 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"gan.ada.{name} is {getattr(self, name)}; give {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """Settings of `gan.watch`, see `rarecxr.gan.evaluation`.

    Raises:
        ValueError: a value that is not allowed.
    """

    space: str = "random"
    images: int = 200
    min_reference: int = 50
    keep: str = "best"

    def __post_init__(self):
        # The names of feature spaces are theirs to check: looking them up here would load torch.
        _one_of("watch.keep", self.keep, KEPT)
        for name in ("images", "min_reference"):
            _at_least(f"watch.{name}", getattr(self, name), 4)


# A setting that may differ from resolution to resolution: one number for all, or numbers by
# resolution, as in {default: 16, 256px: 8}.
ByResolution = float | Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class GanSettings:
    """All settings of the section `gan`; docs/pggan.md has each with its source.

    Raises:
        ValueError: a value that is not allowed, with the key, the value and what is allowed.
    """

    resolution: int
    start_resolution: int = 4
    architecture: str = "karras2018"
    latent_size: int = 512
    fmap_base: int = 8192
    fmap_max: int = 512
    conditioning: str = "none"
    label_weight: float = 1.0
    loss: str = "wgan-gp"
    gradient_penalty: float = 10.0
    drift: float = 0.001
    r1_gamma: float = 0.1
    r1_interval: int = 16
    n_critic: int = 1
    fresh_latents: bool = True
    lr: ByResolution = 0.001
    beta1: float = 0.0
    beta2: float = 0.99
    epsilon: float = 1.0e-8
    reset_optimizer: bool = True
    ema_decay: float = 0.999
    ema_half_life_kimg: float | None = None
    minibatch: ByResolution = 16
    group_size: int = 4
    fade_kimg: ByResolution = 600.0
    stabilise_kimg: ByResolution = 600.0
    final_kimg: float = 4800.0
    finetune_kimg: float = 200.0
    freeze_d: int = 0
    ada: Mapping[str, Any] | bool | None = None
    watch: Mapping[str, Any] | None = None
    precision: str = "auto"
    device: str = "auto"
    devices: int = 1
    tick_kimg: float = 10.0
    snapshots: int = 6
    resume_s: float = 300.0
    resident_gib: float = 16.0
    tensorboard: bool = False

    def __post_init__(self):
        _one_of("architecture", self.architecture, ARCHITECTURES)
        _one_of("loss", self.loss, LOSSES)
        _one_of("conditioning", self.conditioning, CONDITIONINGS)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("device", self.device, DEVICES)
        _power_of_two("resolution", self.resolution, 8, 512)
        _power_of_two("start_resolution", self.start_resolution, 4, self.resolution)
        for name in ("latent_size", "fmap_base", "fmap_max", "r1_interval", "n_critic"):
            _at_least(name, getattr(self, name), 1)
        for name in ("gradient_penalty", "drift", "r1_gamma", "label_weight", "freeze_d"):
            _at_least(name, getattr(self, name), 0)
        for name in ("final_kimg", "finetune_kimg", "tick_kimg", "epsilon"):
            _positive(name, getattr(self, name))
        for name in ("beta1", "beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"gan.{name} is {getattr(self, name)}; give 0 to below 1")
        if self.ema_half_life_kimg is not None:
            _positive("ema_half_life_kimg", self.ema_half_life_kimg)
        self.ada_settings()
        self.watch_settings()
        _at_least("snapshots", self.snapshots, 1)
        _at_least("group_size", self.group_size, 1)
        _at_least("devices", self.devices, 1)
        for resolution in self.resolutions():
            size = self.minibatch_at(resolution)
            if size < 2 or (size > self.group_size and size % self.group_size):
                raise ValueError(
                    f"gan.minibatch is {size} at {resolution} px; give 2 or more, and above "
                    f"gan.group_size a multiple of it ({self.group_size})"
                )
            groups = max(1, size // self.group_size)
            if groups % self.devices:
                raise ValueError(
                    f"gan.minibatch is {size} at {resolution} px: {groups} group(s) of "
                    f"gan.group_size {self.group_size} cannot be shared by gan.devices "
                    f"{self.devices}; give a multiple of {self.group_size * self.devices}"
                )
            _positive(f"lr at {resolution} px", self.lr_at(resolution))
            for name in ("fade_kimg", "stabilise_kimg"):
                _at_least(name, by_resolution(name, getattr(self, name), resolution), 0)

    def ada_settings(self) -> AdaSettings | None:
        """Settings of the augmentation, None where it is off."""
        if not self.ada:
            return None
        return AdaSettings() if self.ada is True else AdaSettings(**self.ada)

    def watch_settings(self) -> WatchSettings | None:
        """Settings of the measurement while training, None where it is off."""
        return None if self.watch is None else WatchSettings(**self.watch)

    def resolutions(self) -> list[int]:
        """Resolutions of training from scratch, ascending, in pixels."""
        first, last = int(math.log2(self.start_resolution)), int(math.log2(self.resolution))
        return [2**power for power in range(first, last + 1)]

    def minibatch_at(self, resolution: int) -> int:
        """Images a minibatch at `resolution`."""
        return int(by_resolution("minibatch", self.minibatch, resolution))

    def lr_at(self, resolution: int) -> float:
        """Learning rate of both networks at `resolution`."""
        return float(by_resolution("lr", self.lr, resolution))

    def plain(self) -> dict[str, Any]:
        """The settings as plain values, for JSON and checkpoints."""
        return asdict(self)

    def with_effect(self) -> dict[str, Any]:
        """The settings that can change a generator, as plain values."""
        return {name: value for name, value in self.plain().items() if name not in WITHOUT_EFFECT}


def by_resolution(name: str, value: ByResolution, resolution: int) -> float:
    """The number that a setting has at `resolution`.

    Raises:
        ValueError: a mapping that names neither the resolution nor a default.
    """
    if not isinstance(value, Mapping):
        return value
    key = f"{resolution}px"
    if key not in value and "default" not in value:
        raise ValueError(f"gan.{name} names {sorted(value)}; add {key} or default")
    return value.get(key, value.get("default"))


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"gan.{name} is {value!r}; give one of {', '.join(allowed)}")


def _power_of_two(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high or value & (value - 1):
        raise ValueError(f"gan.{name} is {value}; give a power of two from {low} to {high}")


def _at_least(name: str, value: float, low: float) -> None:
    if value < low:
        raise ValueError(f"gan.{name} is {value}; give {low} or more")


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"gan.{name} is {value}; give a number above 0")
