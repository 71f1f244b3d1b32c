"""One progressive GAN in training: its networks, its step, and its state."""

import copy
import logging
from typing import Any

import torch
from torch import Tensor

from rarecxr.core.devices import choose_precision
from rarecxr.gan.augment import AdaptiveAugment
from rarecxr.gan.distributed import Ranks
from rarecxr.gan.images import TrainingImages, label_vectors
from rarecxr.gan.layers import upscale
from rarecxr.gan.losses import (
    critic_terms,
    generator_loss,
    known_labels,
    label_loss,
    r1_penalty,
    wgan_penalty,
)
from rarecxr.gan.networks import Critic, Generator
from rarecxr.gan.optimizer import Adam, average_into
from rarecxr.gan.pixels import to_uint8
from rarecxr.gan.schedule import Schedule
from rarecxr.gan.settings import GanSettings
from rarecxr.gan.training_log import NotFiniteError, TermRecord
from rarecxr.study.seeds import seed_for

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
        self.share(Ranks(settings.group_size))
        self._sheet_latents = self.fixed_latents("sheet", SHEET_COLUMNS)

    def share(self, ranks: Ranks) -> None:
        """Share each further minibatch with other processes, which hold the same as this one.

        With several ranks, a step is for all of them to make at once.
        """
        self.ranks = ranks
        if self.augment is not None:
            self.augment.ranks = ranks

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
            real = self.ranks.part(self.data.batch(first, size, **where))
            labels = self.data.batch_labels(first, size)
            latents, fake_labels = self._own_latents(size, random)
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
            latents, fake_labels = self._own_latents(size, random)
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
        """One step on this rank's images; `labels` are those of the real images of all ranks."""
        settings = self.settings

        def score(images):
            return self.critic(images, alpha, self.dtype)[0]

        scores, logits = self.critic(torch.cat([real, fake]), alpha, self.dtype, parts=2)
        real_scores, fake_scores = scores.chunk(2)
        terms = critic_terms(real_scores, fake_scores, settings.loss, settings.drift)
        if logits is not None:
            real_logits, fake_logits = logits.chunk(2)
            # So that the mean over the ranks is that over all known labels.
            known = known_labels(labels) / self.ranks.count
            both = label_loss(real_logits, self.ranks.part(labels), known) + label_loss(
                fake_logits, fake_labels
            )
            terms["label"] = settings.label_weight * both
        _backward(sum(terms.values()), self.critic_optimiser.parameters)
        logged = {
            "real_score": real_scores.mean(),
            "fake_score": fake_scores.mean(),
            "real_sign": real_scores.sign().mean(),
            "critic_loss": terms["critic"],
        }
        if self.augment is not None:
            every = (self.ranks.joined(real_scores), self.ranks.joined(fake_scores))
            self.augment.adapt(*every, settings.loss)
            logged["ada_p"] = self.augment.p
        if "label" in terms:
            logged["label_loss"] = terms["label"]

        if settings.loss == "wgan-gp":
            mixes = torch.rand(
                len(real) * self.ranks.count, 1, 1, 1, generator=random, device=self.device
            )
            logged["gradient_penalty"] = wgan_penalty(score, real, fake, self.ranks.part(mixes))
            weight = settings.gradient_penalty
        elif self.steps % settings.r1_interval == 0:
            # Lazy regularisation: seldom and therefore stronger (Karras et al. 2020, arXiv
            # 1912.04958, appendix B).
            logged["gradient_penalty"] = r1_penalty(score, real)
            weight = settings.r1_gamma * settings.r1_interval
        if "gradient_penalty" in logged:
            _backward(weight * logged["gradient_penalty"], self.critic_optimiser.parameters)
        self._learn(self.critic_optimiser, logged)

    def _generator_step(self, fake: Tensor, fake_labels: Tensor | None, alpha: float) -> None:
        scores, logits = self.critic(fake, alpha, self.dtype)
        loss = generator_loss(scores, self.settings.loss)
        logged = {"generator_loss": loss}
        if logits is not None:
            loss = loss + self.settings.label_weight * label_loss(logits, fake_labels)
        _backward(loss, self.generator_optimiser.parameters)
        self._learn(self.generator_optimiser, logged)

    def _learn(self, optimiser: Adam, logged: dict[str, Tensor]) -> None:
        """Change the weights by the mean gradient of all ranks, and note the means of the terms."""
        # Copies, since a term may be a tensor that is still in use.
        means = {name: value.detach().clone() for name, value in logged.items()}
        gradients = [p.grad for p in optimiser.parameters if p.grad is not None]
        self.ranks.average([*gradients, *means.values()])
        self.record.add(self.images, **means)
        optimiser.step()

    def _own_latents(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """This rank's share of a minibatch's latents and label vectors."""
        latents, labels = self._latents(count, random)
        return self.ranks.part(latents), None if labels is None else self.ranks.part(labels)

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
    def sheet_images(self, generator: Generator | None = None) -> Tensor:
        """What a generator draws from latents that stay the same, as uint8 on the CPU.

        Args:
            generator: default: the average, at the resolution that training is at.

        Returns:
            (SHEET_COLUMNS, R, R) with R the final resolution; smaller images are enlarged.
        """
        latents, labels = self._sheet_latents
        if generator is not None:
            return to_uint8(generator(latents, labels)[:, 0]).cpu()
        moment = self.schedule.at(self.images)
        images = self.average(latents, labels, moment.resolution, moment.alpha)
        images = upscale(images, self.settings.resolution // moment.resolution)
        return to_uint8(images[:, 0]).cpu()

    def fixed_latents(self, use: str, count: int) -> tuple[Tensor, Tensor | None]:
        """Latents (count, latent_size), and labels for a conditional GAN, that never change."""
        random = torch.Generator(self.device)
        random.manual_seed(seed_for(self.seed, use))
        return self._latents(count, random)

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
