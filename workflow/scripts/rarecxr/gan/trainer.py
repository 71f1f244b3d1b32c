"""One training step of a progressive GAN, and the state that it changes."""

import copy
import functools
from typing import Any

import torch
from torch import Tensor, nn

from rarecxr.core.cuda_graphs import StepGraphs
from rarecxr.core.devices import choose_precision
from rarecxr.core.losses import count_known, masked_bce
from rarecxr.core.optimizers import adam_state, load_adam, make_adam, set_rate
from rarecxr.gan.augment import AdaptiveAugment
from rarecxr.gan.distributed import ProcessGroup
from rarecxr.gan.images import TrainingImages, label_vectors
from rarecxr.gan.losses import critic_terms, generator_loss, r1_penalty, wgan_penalty
from rarecxr.gan.networks import Critic, Generator
from rarecxr.gan.schedule import Moment, Schedule
from rarecxr.gan.training_log import NotFiniteError, RunningMeans
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.seeds import seed_for

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

# What has a state_dict of its own in `Trainer.state`.
_NETWORKS = ("generator", "generator_ema", "critic")
_OPTIMIZERS = ("generator_optimizer", "critic_optimizer")


class Trainer:
    """A generator and a critic that learn from images, and a moving average of the generator.

    What a step does depends on the weights, the seed and the number of images shown alone, so
    that a run that is loaded from `state()` goes on as if it had never stopped.

    Attributes:
        generator: the generator that is trained.
        generator_ema: the exponential moving average of its weights, which samples and banks come
            from.
        critic: the critic.
        images: number of real images that have been shown.
        steps: number of steps.
        means: means of the loss terms since the last line of training.csv.

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
        self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
        self._weights = list(self.generator.parameters())
        self._ema_weights = list(self.generator_ema.parameters())
        if finetune:
            freeze_lower_layers(self.critic, settings.freeze_d)
        ada = settings.ada
        self.augment = None if ada is None else AdaptiveAugment(ada, device)
        self.images = 0
        self.steps = 0
        self.phase = -1
        self.means = RunningMeans()
        self.random = torch.Generator(device)
        self.graphs = StepGraphs(device, self._drop_gradients, [self.random])
        self.join(ProcessGroup(settings.group_size))

    def join(self, group: ProcessGroup) -> None:
        """Share each further minibatch with other processes, which hold the same as this one.

        With several processes, all of them must call `step` together.
        """
        self.group = group
        if self.augment is not None:
            self.augment.group = group

    # One step

    def step(self) -> None:
        """n_critic minibatches for the critic, one for the generator, and the moving average."""
        settings = self.settings
        moment = self.schedule.at(self.images)
        if moment.phase != self.phase:
            self._begin_phase(moment.phase, moment.resolution)
        size = settings.batch_size.at(moment.resolution)
        self.random.manual_seed(seed_for(self.seed, "step", self.steps))
        inputs = []
        for number in range(settings.n_critic):
            first = self.images + number * size
            inputs.append(self.data.batch(first, size, moment.resolution, moment.alpha))
            inputs.append(self.data.batch_labels(first, size))
        step = functools.partial(self._learn, moment, size)
        if moment.alpha < 1 and self.device.type == "cuda":
            inputs.append(torch.full((), moment.alpha, device=self.device))
        # A graph holds one turn of what comes seldom.
        if settings.n_critic == 1 and self.group.world_size == 1:
            fading = moment.alpha < 1
            key = (moment.resolution, size, fading, self._penalised(), self._moves_p(self.steps))
            logged = self.graphs.run(key, step, inputs)
        else:
            logged = step(*inputs)
        for terms in logged[:-1]:
            self.means.add(self.images, **terms)
            self.images += size
        self.means.add(self.images, **logged[-1])
        self.steps += 1

    def _penalised(self) -> bool:
        """Whether this step has a gradient penalty.

        Lazy regularisation: seldom and therefore stronger (Karras et al. 2020, arXiv 1912.04958,
        appendix B).
        """
        return self.settings.loss == "wgan-gp" or self.steps % self.settings.r1_interval == 0

    def _moves_p(self, minibatch: int) -> bool:
        """Whether ADA's p moves after the critic's minibatch of this number, from 0."""
        return self.augment is not None and (minibatch + 1) % self.settings.ada.interval == 0

    def _learn(self, moment: Moment, size: int, *inputs: Tensor) -> list[dict[str, Tensor]]:
        """All that a step changes on the device.

        Args:
            moment: where the schedule is.
            size: images of a minibatch of all ranks.
            inputs: for each of the critic's minibatches real images (size, 1, R, R) and labels. On
                a GPU, while a resolution fades in, its share last: a tensor ().

        Returns:
            The terms to be logged: those of each minibatch of the critic, then the generator's.
        """
        settings, random = self.settings, self.random
        shares = inputs[2 * settings.n_critic :]
        alpha = shares[0] if shares else moment.alpha
        where = {"resolution": moment.resolution, "alpha": alpha}
        logged = []
        for number in range(settings.n_critic):
            real, labels = self.group.shard(inputs[2 * number]), inputs[2 * number + 1]
            latents, fake_labels = self._own_latents(size, random)
            # The generator's step may use the last fake images again, with their graph.
            kept = number == settings.n_critic - 1 and not settings.fresh_latents
            with torch.set_grad_enabled(kept):
                fake = self.generator(latents, fake_labels, dtype=self.dtype, **where)
            seen = fake.detach()
            if self.augment is not None:
                real, seen = self.augment(real, random), self.augment(seen, random)
            minibatch = self.steps * settings.n_critic + number
            real_and_fake = (real, labels), (seen, fake_labels)
            logged.append(self._critic_step(*real_and_fake, alpha, minibatch))

        if settings.fresh_latents:
            latents, fake_labels = self._own_latents(size, random)
            fake = self.generator(latents, fake_labels, dtype=self.dtype, **where)
        if self.augment is not None:
            fake = self.augment(fake, random)
        logged.append(self._generator_step(fake, fake_labels, alpha))
        self._update_ema(size)
        return logged

    def _critic_step(
        self,
        real_and_labels: tuple[Tensor, Tensor],
        fake_and_labels: tuple[Tensor, Tensor | None],
        alpha: float | Tensor,
        minibatch: int,
    ) -> dict[str, Tensor]:
        """One step on this rank's images; the labels of the real ones are those of all ranks."""
        settings, random = self.settings, self.random
        (real, labels), (fake, fake_labels) = real_and_labels, fake_and_labels

        def score(images):
            return self.critic(images, alpha, self.dtype)[0]

        scores, logits = self.critic(torch.cat([real, fake]), alpha, self.dtype, parts=2)
        real_scores, fake_scores = scores.chunk(2)
        terms = critic_terms(real_scores, fake_scores, settings.loss, settings.drift)
        if logits is not None:
            real_logits, fake_logits = logits.chunk(2)
            # So that the mean over the ranks is that over all known labels.
            known = count_known(labels) / self.group.world_size
            # Auxiliary classifier (Odena et al. 2017, arXiv 1610.09585), for labels that do not
            # exclude each other.
            both = masked_bce(real_logits, self.group.shard(labels), known) + masked_bce(
                fake_logits, fake_labels
            )
            terms["label"] = settings.label_weight * both
        _backward(sum(terms.values()), self.critic_optimizer)
        logged = {
            "real_score": real_scores.mean(),
            "fake_score": fake_scores.mean(),
            "real_sign": real_scores.sign().mean(),
            "critic_loss": terms["critic"],
        }
        if self.augment is not None:
            scores = (self.group.all_gather(real_scores), self.group.all_gather(fake_scores))
            self.augment.adapt(*scores, settings.loss, self._moves_p(minibatch))
            logged["ada_p"] = self.augment.p
        if "label" in terms:
            logged["label_loss"] = terms["label"]

        if settings.loss == "wgan-gp":
            mixes = torch.rand(
                len(real) * self.group.world_size, 1, 1, 1, generator=random, device=self.device
            )
            logged["gradient_penalty"] = wgan_penalty(score, real, fake, self.group.shard(mixes))
            weight = settings.gradient_penalty
        elif self._penalised():
            logged["gradient_penalty"] = r1_penalty(score, real)
            weight = settings.r1_gamma * settings.r1_interval
        if "gradient_penalty" in logged:
            _backward(weight * logged["gradient_penalty"], self.critic_optimizer)
        return self._update(self.critic_optimizer, logged)

    def _generator_step(
        self, fake: Tensor, fake_labels: Tensor | None, alpha: float | Tensor
    ) -> dict[str, Tensor]:
        scores, logits = self.critic(fake, alpha, self.dtype)
        loss = generator_loss(scores, self.settings.loss)
        logged = {"generator_loss": loss}
        if logits is not None:
            loss = loss + self.settings.label_weight * masked_bce(logits, fake_labels)
        _backward(loss, self.generator_optimizer)
        return self._update(self.generator_optimizer, logged)

    def _update(self, optimizer: torch.optim.Adam, logged: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change the weights by the mean gradient of all ranks; the means of the terms."""
        # Copies, since a term may be a tensor that is still in use.
        means = {name: value.detach().clone() for name, value in logged.items()}
        gradients = [p.grad for p in _parameters(optimizer) if p.grad is not None]
        self.group.all_reduce_mean([*gradients, *means.values()])
        optimizer.step()
        # The other network's step need not find the gradients in its memory.
        optimizer.zero_grad()
        return means

    def _drop_gradients(self) -> None:
        for name in _OPTIMIZERS:
            getattr(self, name).zero_grad()

    @torch.no_grad()
    def _update_ema(self, minibatch: int) -> None:
        """Move the average towards the generator's weights, by a decay a step or by images."""
        half_life = self.settings.ema_half_life_kimg
        decay = self.settings.ema_decay
        if half_life is not None:
            decay = 0.5 ** (minibatch / (1000 * half_life))
        torch._foreach_lerp_(self._ema_weights, self._weights, 1 - decay)

    def _own_latents(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """This rank's share of a minibatch's latents and label vectors."""
        latents, labels = self._latents(count, random)
        return self.group.shard(latents), None if labels is None else self.group.shard(labels)

    def _latents(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor | None]:
        shape = (count, self.settings.latent_size)
        latents = torch.randn(shape, generator=random, device=self.device)
        if not self.generator.label_size:
            return latents, None
        return latents, label_vectors(self.data.labels, count, random)

    def _begin_phase(self, phase: int, resolution: int) -> None:
        """Begin a phase of the schedule: another network, so other optimizers."""
        settings = self.settings
        if self.phase < 0 or settings.reset_optimizer:
            self.generator_optimizer = adam_of(self.generator, settings)
            self.critic_optimizer = adam_of(self.critic, settings)
        self.graphs.clear()
        self.phase = phase
        for name in _OPTIMIZERS:
            set_rate(getattr(self, name), settings.learning_rate.at(resolution))

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
            self.means.check()
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
                f"{error}. The last resume file is from before and is kept. Try a smaller "
                "gan.learning_rate, a larger gan.r1_gamma or gan.gradient_penalty, or "
                "gan.precision fp32"
            ) from None

    def state(self) -> dict[str, Any]:
        """All that a run needs to go on, as tensors and plain values."""
        return {
            "images": self.images,
            "steps": self.steps,
            "phase": self.phase,
            **{name: getattr(self, name).state_dict() for name in _NETWORKS},
            **{name: adam_state(getattr(self, name)) for name in _OPTIMIZERS},
            "means": self.means.state(),
            "augment": None if self.augment is None else self.augment.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.images, self.steps = state["images"], state["steps"]
        self.phase = -1
        self._begin_phase(state["phase"], self.schedule.at(self.images).resolution)
        for name in _NETWORKS:
            getattr(self, name).load_state_dict(state[name])
        for name in _OPTIMIZERS:
            load_adam(getattr(self, name), state[name])
        self.means.load_state(state["means"], self.device)
        if self.augment is not None:
            self.augment.load_state(state["augment"])


def adam_of(network: nn.Module, settings: GanSettings) -> torch.optim.Adam:
    """Adam over the parameters of a network that are trained, with the section's settings."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    betas = (settings.beta1, settings.beta2)
    return make_adam(trained, trained[0].device, betas=betas, eps=settings.epsilon)


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


def _backward(loss: Tensor, optimizer: torch.optim.Adam) -> None:
    """Add the gradients of `loss` in the optimizer's parameters alone: no work for other leaves."""
    loss.backward(inputs=_parameters(optimizer))


def _parameters(optimizer: torch.optim.Adam) -> list[Tensor]:
    return optimizer.param_groups[0]["params"]
