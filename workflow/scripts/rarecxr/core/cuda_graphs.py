"""Training steps as CUDA graphs: recorded once, then launched as a whole.

A step of a small batch is hundreds of kernels, each over before the next one is launched: the GPU
waits for Python. A graph launches all of them at once (CUDA C++ Programming Guide, "CUDA Graphs").
The kernels and their order are those of the step that was recorded, and so are the numbers.
"""

import logging
import os
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

# Set to 0 to launch every kernel by itself, for instance to compare the speed.
SWITCH = "RARECXR_CUDA_GRAPHS"

# Steps of a kind before it is recorded: they make the state of optimizers and compile kernels.
_WARM_UP = 2

Outputs = TypeVar("Outputs")


class StepGraphs:
    """Steps of several kinds, each recorded after its first calls.

    A kind is known by a key, and what it does must depend on its key, its inputs and tensors that
    stay where they are: weights, gradients within the step, an optimizer's state (`capturable`), a
    generator's seed. On a CPU, and where a recording fails, steps are ordinary calls.

    Args:
        device: where the steps compute.
        undo: takes back what a step that broke off leaves behind: its gradients.
        generators: the random generators of the device that steps draw from, beside the global one.
            They may be given another seed before each step.
    """

    def __init__(
        self,
        device: torch.device,
        undo: Callable[[], None],
        generators: Sequence[torch.Generator] = (),
    ):
        self.possible = device.type == "cuda" and os.environ.get(SWITCH, "1") != "0"
        self.device = device
        self.undo = undo
        self.generators = generators
        self._calls: dict[Hashable, int] = {}
        self._graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, list[Tensor], object]] = {}
        self._pool = None

    def run(self, key: Hashable, step: Callable[..., Outputs], inputs: Sequence[Tensor]) -> Outputs:
        """`step(*inputs)`.

        Args:
            key: the kind of step, with all that its kernels depend on but the inputs' values.
            step: takes the inputs. It waits for nothing and leaves no gradients behind.
            inputs: tensors of the same shapes and types for all calls with a key.

        Returns:
            What the step returns. Its tensors hold until the next call.
        """
        if not self.possible:
            return step(*inputs)
        if key not in self._graphs:
            calls = self._calls[key] = self._calls.get(key, 0) + 1
            if calls <= _WARM_UP or not self._record(key, step, inputs):
                return self._warm_up(step, inputs)
        graph, places, outputs = self._graphs[key]
        if places:
            torch._foreach_copy_(places, list(inputs))
        graph.replay()
        return outputs

    def clear(self) -> None:
        """Forget what was recorded: tensors that a step uses were replaced by others."""
        self._calls, self._graphs, self._pool = {}, {}, None

    def _warm_up(self, step, inputs):
        """A call on a stream of its own, as the recording is."""
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            outputs = step(*inputs)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        return outputs

    def _record(self, key, step, inputs) -> bool:
        """Whether a graph of the step could be made; nothing is computed."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        places = [tensor.clone() for tensor in inputs]
        try:
            # Other threads may read images meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = step(*places)
        except RuntimeError as error:
            _log.warning(
                "steps are launched kernel by kernel, which is slower: no CUDA graph could be made "
                "(%s). %s=0 tries none",
                (str(error).strip().splitlines() or [""])[0],
                SWITCH,
            )
            self.possible = False
            self.undo()
            return False
        self._graphs[key] = graph, places, outputs
        return True
