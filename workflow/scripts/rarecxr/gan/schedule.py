"""When a progressive GAN grows: a pure function of the number of images shown."""

from dataclasses import dataclass

from rarecxr.study.configuration.gan import GanSettings


@dataclass(frozen=True)
class Moment:
    """What holds when a certain number of real images has been shown."""

    resolution: int
    alpha: float  # share of the newest block, 1 when it is fully in
    phase: int  # a number that changes when the network that is trained changes


class Schedule:
    """Resolution and fade over training (Karras et al. 2018, section 2 and appendix A).

    Training starts at `start_resolution` and stabilises there; then each resolution is faded
    in over `fade_kimg` and stabilised over `stabilise_kimg`, the last one over `final_kimg`
    instead. Fine-tuning is a single phase at the full resolution.

    Args:
        settings: of the section `gan`.
        finetune: True for a run that starts from a base GAN.
    """

    def __init__(self, settings: GanSettings, finetune: bool = False):
        self.phases: list[tuple[int, int, bool]] = []  # resolution, images, is a fade
        if finetune:
            self.phases.append((settings.resolution, _images(settings.finetune_kimg), False))
        else:
            for resolution in settings.resolutions():
                if resolution > settings.start_resolution:
                    fade = settings.fade_kimg.at(resolution)
                    self.phases.append((resolution, _images(fade), True))
                kimg = (
                    settings.final_kimg
                    if resolution == settings.resolution
                    else settings.stabilise_kimg.at(resolution)
                )
                self.phases.append((resolution, _images(kimg), False))
        self.images = sum(images for _, images, _ in self.phases)

    def at(self, images: int) -> Moment:
        """What holds when `images` real images have been shown."""
        begin = 0
        for number, (resolution, length, fade) in enumerate(self.phases):
            last = number == len(self.phases) - 1
            if images < begin + length or last:
                alpha = (images - begin) / length if fade else 1.0
                return Moment(resolution, alpha, number)
            begin += length
        raise AssertionError("a schedule has at least one phase")


def _images(kimg: float) -> int:
    return round(1000 * kimg)
