"""One progressive GAN in training: its networks, its step, and its state."""

import copy
import logging
from typing import Any

import torch
from torch import Tensor

from rarecxr.devices import choose_precision
from rarecxr.gan.augment import AdaptiveAugment
from rarecxr.gan.data import TrainingImages, label_vectors
from rarecxr.gan.layers import upscale
from rarecxr.gan.losses import (
    critic_terms,
    generator_loss,
    label_loss,
    r1_penalty,
    wgan_penalty,
)
from rarecxr.gan.networks import Critic, Generator
from rarecxr.gan.optimiser import Adam, average_into
from rarecxr.gan.pixels import to_uint8
from rarecxr.gan.record import NotFiniteError, TermRecord
from rarecxr.gan.schedule import Schedule
from rarecxr.gan.seeds import seed_for
from rarecxr.gan.settings import GanSettings

_log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

# Images a row of the sample sheet.
SHEET_COLUMNS = 10


class Trainer:
    """A generator, its moving average and a critic that learn from images.

    What a step does depends on the weights, the seed and the number of images shown alone, so
    that a run that is loaded from `state()` goes on as if it had never stopped.

    Args:
        settings: of the section `gan`.
        data: the real images.
        networks: generator and critic with their first weights.
        seed: of the latents and of all other random choices.
        finetune: True if `networks` come from a base GAN.
        device: where to train.
    """

    def __init__(
        self,
        settings: GanSettings,
        data: TrainingImages,
        networks: tuple[Generator, Critic],
        seed: int,
        finetune: bool,
        device: torch.device,
    ):
        self.settings = settings
        self.data = data
        self.seed = seed
        self.device = device
        self.dtype = DTYPES[choose_precision(settings.precision, device)]
        self.schedule = Schedule(settings, finetune)
        form = {"device": device, "memory_format": torch.channels_last}
        self.generator = networks[0].to(**form)
        self.critic = networks[1].to(**form)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        if finetune:
            freeze_lower_layers(self.critic, settings.freeze_d)
        self._weights = list(self.generator.parameters())
        self._averaged = list(self.average.parameters())
        ada = settings.ada_settings()
        self.augment = None if ada is None else AdaptiveAugment(ada, device)
        self.images = 0
        self.steps = 0
        self.phase = -1
        self.record = TermRecord()
        self._sheet_latents = self._fixed_latents()

    # One step

    def step(self) -> None:
        """n_critic minibatches for the critic, one for the generator, and the average."""
        settings = self.settings
        moment = self.schedule.at(self.images)
        if moment.phase != self.phase:
            self._enter(moment.phase, moment.resolution)
        size = settings.minibatch_at(moment.resolution)
        where = {"resolution": moment.resolution, "alpha": moment.alpha}
        random = torch.Generator(self.device)
        random.manual_seed(seed_for(self.seed, "step", self.steps))

        for number in range(settings.n_critic):
            first = self.images
            real = self.data.batch(first, size, **where)
            labels = self.data.batch_labels(first, size)
            latents, fake_labels = self._latents(size, random)
            # The generator's step may use the last fake images again, with their graph.
            kept = number == settings.n_critic - 1 and not settings.fresh_latents
            with torch.set_grad_enabled(kept):
                fake = self.generator(latents, fake_labels, dtype=self.dtype, **where)
            seen = fake.detach()
            if self.augment is not None:
                real, seen = self.augment(real, random), self.augment(seen, random)
            self._critic_step(real, labels, seen, fake_labels, moment.alpha, random)
            self.images += size

        if settings.fresh_latents:
            latents, fake_labels = self._latents(size, random)
            fake = self.generator(latents, fake_labels, dtype=self.dtype, **where)
        if self.augment is not None:
            fake = self.augment(fake, random)
        self._generator_step(fake, fake_labels, moment.alpha)
        average_into(self._averaged, self._weights, self._decay(size))
        self.steps += 1

    def _critic_step(
        self,
        real: Tensor,
        labels: Tensor,
        fake: Tensor,
        fake_labels: Tensor | None,
        alpha: float,
        random: torch.Generator,
    ) -> None:
        settings = self.settings
        self.critic_optimiser.zero_grad()

        def score(images):
            return self.critic(images, alpha, self.dtype)[0]

        scores, logits = self.critic(torch.cat([real, fake]), alpha, self.dtype, parts=2)
        real_scores, fake_scores = scores.chunk(2)
        terms = critic_terms(real_scores, fake_scores, settings.loss, settings.drift)
        if logits is not None:
            real_logits, fake_logits = logits.chunk(2)
            both = label_loss(real_logits, labels) + label_loss(fake_logits, fake_labels)
            terms["label"] = settings.label_weight * both
        _backward(sum(terms.values()), self.critic_optimiser.parameters)
        if self.augment is not None:
            self.augment.adapt(real_scores, fake_scores, settings.loss)
            self.record.add(self.images, ada_p=self.augment.p)
        self.record.add(
            self.images,
            real_score=real_scores.mean(),
            fake_score=fake_scores.mean(),
            real_sign=real_scores.sign().mean(),
        )

        penalty = None
        if settings.loss == "wgan-gp":
            mix = torch.rand(len(real), 1, 1, 1, generator=random, device=self.device)
            penalty = wgan_penalty(score, real, fake, mix)
            terms["penalty"] = settings.gradient_penalty * penalty
        elif self.steps % settings.r1_interval == 0:
            # Lazy regularisation: seldom and therefore stronger (Karras et al. 2020, arXiv
            # 1912.04958, appendix B).
            penalty = r1_penalty(score, real)
            terms["penalty"] = settings.r1_gamma * settings.r1_interval * penalty
        if penalty is not None:
            _backward(terms["penalty"], self.critic_optimiser.parameters)
            self.record.add(self.images, gradient_penalty=penalty)
        if "label" in terms:
            self.record.add(self.images, label_loss=terms["label"])
        self.record.add(self.images, critic_loss=terms["critic"])
        self.critic_optimiser.step()

    def _generator_step(self, fake: Tensor, fake_labels: Tensor | None, alpha: float) -> None:
        self.generator_optimiser.zero_grad()
        scores, logits = self.critic(fake, alpha, self.dtype)
        loss = generator_loss(scores, self.settings.loss)
        self.record.add(self.images, generator_loss=loss)
        if logits is not None:
            loss = loss + self.settings.label_weight * label_loss(logits, fake_labels)
        _backward(loss, self.generator_optimiser.parameters)
        self.generator_optimiser.step()

    def _latents(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor | None]:
        shape = (count, self.settings.latent_size)
        latents = torch.randn(shape, generator=random, device=self.device)
        if not self.generator.label_size:
            return latents, None
        return latents, label_vectors(self.data.labels, count, random)

    def _decay(self, minibatch: int) -> float:
        half_life = self.settings.ema_half_life_kimg
        if half_life is None:
            return self.settings.ema_decay
        return 0.5 ** (minibatch / (1000 * half_life))

    def _enter(self, phase: int, resolution: int) -> None:
        """Begin a phase of the schedule: another network, so other optimisers."""
        settings = self.settings
        lr = settings.lr_at(resolution)
        if self.phase < 0 or settings.reset_optimizer:
            adam_settings = (lr, settings.beta1, settings.beta2, settings.epsilon)
            self.generator_optimiser = Adam(self.generator, *adam_settings)
            self.critic_optimiser = Adam(self.critic, *adam_settings)
        self.generator_optimiser.lr = self.critic_optimiser.lr = lr
        self.phase = phase

    # What it shows

    @torch.no_grad()
    def sheet_images(self) -> Tensor:
        """Images of the averaged generator on latents that stay the same, as uint8 on the CPU.

        Returns:
            (SHEET_COLUMNS, R, R) with R the final resolution; smaller images are enlarged.
        """
        latents, labels = self._sheet_latents
        moment = self.schedule.at(self.images)
        images = self.average(latents, labels, moment.resolution, moment.alpha)
        images = upscale(images, self.settings.resolution // moment.resolution)
        return to_uint8(images[:, 0]).cpu()

    def _fixed_latents(self) -> tuple[Tensor, Tensor | None]:
        random = torch.Generator(self.device)
        random.manual_seed(seed_for(self.seed, "sheet"))
        return self._latents(SHEET_COLUMNS, random)

    # Its state

    def check(self) -> None:
        """Wait for the device and look whether all is finite.

        Raises:
            NotFiniteError: says which term or weight, when, and what to try.
        """
        try:
            self.record.check()
            for name, network in (("generator", self.generator), ("critic", self.critic)):
                norms = torch._foreach_norm(list(network.parameters()))
                for (weight, _), norm in zip(network.named_parameters(), norms, strict=True):
                    if not torch.isfinite(norm):
                        raise NotFiniteError(
                            f"weight {weight} of the {name} was not finite at "
                            f"{self.images / 1000:.3f} kimg"
                        )
        except NotFiniteError as error:
            raise NotFiniteError(
                f"{error}. The last resume file is from before and is kept. Try a smaller gan.lr, "
                "a larger gan.r1_gamma or gan.gradient_penalty, or gan.precision fp32"
            ) from None

    def state(self) -> dict[str, Any]:
        """All that a run needs to go on, as tensors and plain values."""
        return {
            "images": self.images,
            "steps": self.steps,
            "phase": self.phase,
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self.average.state_dict(),
            "generator_optimiser": self.generator_optimiser.state(),
            "critic_optimiser": self.critic_optimiser.state(),
            "record": self.record.state(),
            "augment": None if self.augment is None else self.augment.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.images, self.steps = state["images"], state["steps"]
        self.phase = -1
        self._enter(state["phase"], self.schedule.at(self.images).resolution)
        for name in ("generator", "critic", "average"):
            getattr(self, name).load_state_dict(state[name])
        for name in ("generator_optimiser", "critic_optimiser"):
            getattr(self, name).load_state(state[name])
        self.record.load_state(state["record"], self.device)
        if self.augment is not None:
            self.augment.load_state(state["augment"])


def freeze_lower_layers(critic: Critic, blocks: int) -> None:
    """Keep the `blocks` blocks nearest to the image as they are (Mo et al. 2020, arXiv 2002.10964).

    Raises:
        ValueError: the critic has no more than `blocks` blocks.
    """
    sides = sorted((int(side) for side in critic.blocks), reverse=True)
    if blocks > len(sides):
        raise ValueError(f"gan.freeze_d is {blocks}; this critic has {len(sides)} blocks")
    if blocks:
        critic.from_grey[str(sides[0])].requires_grad_(False)
    for side in sides[:blocks]:
        critic.blocks[str(side)].requires_grad_(False)


def _backward(loss: Tensor, parameters: list[Tensor]) -> None:
    """Add the gradients of `loss` in `parameters` alone: no work for any other leaf."""
    loss.backward(inputs=parameters)
