"""CUDA graphs: work on a GPU that is recorded once per shape and then replayed.

Of one sentence a layer takes less time than the launches of its kernels; a graph launches all of them at once. What is
recorded must follow from shapes alone: it may neither wait for the GPU nor choose by values.
"""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

MOST = 1024  # recordings per model; the one that was not used for longest makes way


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class _Recordings:
    """Those of one model, which share their memory: one runs at a time, and what it returns is copied."""

    def __init__(self, model: nn.Module) -> None:
        self.pool = torch.cuda.graph_pool_handle()
        self.by_key: OrderedDict[Hashable, _Recording] = OrderedDict()
        # The modules' own dictionaries, since a walk through all modules takes as long as a short replay; none of them
        # holds the model itself, which is to be free to go.
        modules = list(model.modules())
        self._parameters = [module._parameters for module in modules if module._parameters]
        self._children = [module._modules for module in modules if module._modules]

    def weights(self) -> tuple[int, ...]:
        """Where the weights lie, and which modules have them."""
        weights = [p for owned in self._parameters for p in owned.values() if p is not None]
        return (
            *(p.data_ptr() for p in weights),
            *(id(p.dtype) for p in weights),
            *(id(child) for owned in self._children for child in owned.values()),
        )


_of_models: weakref.WeakKeyDictionary[nn.Module, _Recordings] = weakref.WeakKeyDictionary()


def replayed(
    model: nn.Module, key: Hashable, work: Callable[..., tuple[Tensor, ...]], *inputs: Tensor
) -> tuple[Tensor, ...]:
    """work(*inputs), recorded at the first call with this model and key.

    key: whatever `work` depends on beside the values of the inputs and the model's weights. The weights may change in
    place; where they move or change their type it is recorded anew. A recording keeps its memory as long as the model.
    """
    recordings = _of_models.get(model)
    if recordings is None:
        recordings = _of_models[model] = _Recordings(model)
    full = (key, recordings.weights(), tuple((part.shape, part.dtype) for part in inputs))
    recording = recordings.by_key.get(full)
    if recording is None:
        recording = recordings.by_key[full] = _record(work, inputs, recordings.pool)
        if len(recordings.by_key) > MOST:
            recordings.by_key.popitem(last=False)
    recordings.by_key.move_to_end(full)
    for own, given in zip(recording.inputs, inputs, strict=True):
        own.copy_(given)
    recording.graph.replay()
    return tuple(output.clone() for output in recording.outputs)


def _record(work: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...], pool: Any) -> _Recording:
    own = tuple(part.clone() for part in inputs)
    with torch.cuda.device(own[0].device):
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # what is made once, such as cuBLAS's workspace, must not become part of it
            for _ in range(2):
                work(*own)
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph, pool=pool, stream=stream):  # by default a stream of the first GPU
            outputs = work(*own)
    return _Recording(graph, own, outputs)
