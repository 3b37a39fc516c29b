"""What the processes of one training tell each other; nothing happens where there is one.

Gradients are summed here after the backward pass, not by a wrapper around the model (DDP): the CTC loss uses the output
embedding outside of the model's forward pass, where a wrapper does not look, and one transfer per update costs little.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch


def sum_over_processes(tensors: Iterable[torch.Tensor]) -> None:
    """Each tensor becomes its sum over all processes, in place."""
    if torch.distributed.is_initialized():
        for transfer in [torch.distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
            transfer.wait()


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Each parameter's gradient becomes its sum over all processes.

    One that a process lacks, because nothing in its batches used the parameter, counts as zero there; one that all
    lack stays None, so that the optimiser passes it over.
    """
    if not torch.distributed.is_initialized():
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        return
    holders = torch.tensor([float(parameter.grad is not None) for parameter in trained], device=trained[0].device)
    sum_over_processes([holders])
    held = [parameter for parameter, count in zip(trained, holders.tolist(), strict=True) if count]
    gradients = []
    for parameter in held:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    sum_over_processes(gradients)


def of_all_processes(values: Sequence[Any]) -> list[Any]:
    """The values of all processes, one after the other."""
    if not torch.distributed.is_initialized():
        return list(values)
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, list(values))
    return [value for part in gathered for value in part]


def wait_for_all() -> None:
    """Return once every process is here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
