"""Adam against PyTorch's own, and the moving average by hand."""

import copy

import pytest
import torch

from rarecxr.gan.optimizer import Adam, average_into


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def train(model, step, zero_grad, steps, seed=1):
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        zero_grad()
        model(torch.randn(8, 5, generator=random)).square().mean().backward()
        step()


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_adam_is_that_of_pytorch(beta1):
    ours, theirs = network(), network()
    adam = Adam(ours, 0.01, beta1, 0.99, 1e-8)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(beta1, 0.99), eps=1e-8)
    train(ours, adam.step, adam.zero_grad, 20)
    train(theirs, reference.step, reference.zero_grad, 20)
    for found, wanted in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_adam_goes_on_from_its_state():
    whole = network()
    adam = Adam(whole, 0.01, 0.5, 0.99, 1e-8)
    train(whole, adam.step, adam.zero_grad, 5)
    copied, state = copy.deepcopy(whole), copy.deepcopy(adam.state())
    train(whole, adam.step, adam.zero_grad, 5, seed=2)
    again = Adam(copied, 0.01, 0.5, 0.99, 1e-8)
    again.load_state(state)
    train(copied, again.step, again.zero_grad, 5, seed=2)
    for found, wanted in zip(copied.parameters(), whole.parameters(), strict=True):
        assert torch.equal(found, wanted)


def test_parameters_without_gradient_and_frozen_ones_stay():
    model = network()
    model[0].bias.requires_grad_(False)
    before = [parameter.clone() for parameter in model.parameters()]
    adam = Adam(model, 0.1, 0.0, 0.99, 1e-8)
    adam.zero_grad()
    model[2].weight.grad = torch.ones_like(model[2].weight)
    adam.step()
    changed = [
        not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
    ]
    assert changed == [False, False, True, False]
    assert len(adam.parameters) == 3


def test_the_average_by_hand():
    average, weights = [torch.tensor([1.0, 2.0])], [torch.tensor([3.0, -2.0])]
    average_into(average, weights, 0.75)
    torch.testing.assert_close(average[0], torch.tensor([1.5, 1.0]))
