"""Adam in one operation a step: the numbers of PyTorch's own, without copies of the weights."""

import copy

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from rarecxr.core.optimizers import adam_state, load_adam, make_adam

CPU = torch.device("cpu")


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(16, 32, 3), nn.Conv2d(32, 16, 1), nn.Flatten(), nn.Linear(16, 4)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def learn(network, optimizer, steps, seed=0):
    """Steps on gradients of random numbers, some of them in another order than the weights."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for number, weight in enumerate(network.parameters()):
            gradient = torch.randn(weight.shape, generator=generator)
            if number % 2 == 0 and weight.dim() == 4:
                gradient = gradient.contiguous(memory_format=torch.channels_last)
            weight.grad = gradient
        optimizer.step()


def assert_same(ours, theirs):
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_steps_are_those_of_pytorch():
    ours, theirs = network(), network()
    options = {"betas": (0.5, 0.99), "eps": 1e-6}
    learn(ours, make_adam(ours.parameters(), CPU, lr=0.01, **options), 5)
    learn(theirs, torch.optim.Adam(theirs.parameters(), 0.01, fused=False, **options), 5)
    assert_same(ours, theirs)
    assert not torch.equal(ours[0].weight, network()[0].weight)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_states_have_the_shapes_of_the_weights_and_go_on(layout):
    ours, theirs = network().to(memory_format=layout), network()
    optimizer = make_adam(ours.parameters(), CPU)
    learn(ours, optimizer, 3)
    state = copy.deepcopy(adam_state(optimizer))
    for number, weight in enumerate(ours.parameters()):
        assert state["state"][number]["exp_avg"].shape == weight.shape
    other = make_adam(ours.parameters(), CPU, lr=7.0)
    load_adam(other, state)
    learn(ours, other, 3, seed=1)
    reference = torch.optim.Adam(theirs.parameters(), 1e-3)
    learn(theirs, reference, 3)
    learn(theirs, reference, 3, seed=1)
    assert_same(ours, theirs)


def test_parameters_without_gradients_stay():
    ours = network()
    optimizer = make_adam(ours.parameters(), CPU)
    learn(ours, optimizer, 1)
    optimizer.zero_grad()
    before = copy.deepcopy(ours)
    ours[3].weight.grad = torch.ones_like(ours[3].weight)
    optimizer.step()
    assert torch.equal(ours[0].weight, before[0].weight)
    assert not torch.equal(ours[3].weight, before[3].weight)


def copies(optimizer):
    """How many copies of kernels one step makes."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        optimizer.step()
    return sum(
        event.name == "aten::copy_" and len(event.input_shapes[0]) == 4 for event in seen.events()
    )


def test_weights_are_not_copied_into_another_order():
    """PyTorch's own operation does that, which is what ours is for: else it can go."""
    one = network()
    gradients = [torch.ones_like(weight) for weight in one.parameters()]
    for weight, gradient in zip(one.parameters(), gradients, strict=True):
        weight.grad = gradient
    counts = []
    for optimizer in (
        make_adam(one.parameters(), CPU),
        torch.optim.Adam(one.parameters(), fused=True),
    ):
        optimizer.step()
        counts.append(copies(optimizer))
    assert counts[0] < counts[1]
    assert counts[0] == 0
