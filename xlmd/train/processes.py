"""Training in several processes on one machine, one a GPU: starting them, and what they tell each other.

Gradients are summed here after the backward pass, not by a wrapper around the model (DDP): the CTC loss uses the output
embedding outside of the model's forward pass, where a wrapper does not look, and one transfer an update costs little.
"""

import ctypes
import os
import signal
import sys
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import torch

_OWN = "XLMD_PROCESS"


def start(processes: int, argv: Sequence[str]) -> bool:
    """Run `xlmd argv` in so many processes and wait for them, if this is not one of them already.

    Returns whether it did so: if not, the caller does the work itself, as in a process that torchrun or accelerate
    started. One that fails ends the others, and this process with them; what went wrong is its own message.
    """
    if processes == 1 or "LOCAL_RANK" in os.environ:
        if _OWN in os.environ:
            _end_with(int(os.environ[_OWN]))
        return False
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    configuration = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    os.environ[_OWN] = str(os.getpid())
    try:
        elastic_launch(configuration, sys.executable)("-m", "xlmd.cli", *argv)
    except ChildFailedError as error:
        sys.exit(max(error.get_first_failure()[1].exitcode, 1))
    except SignalException as error:
        sys.exit(128 + error.sigval)
    finally:
        del os.environ[_OWN]
    return True


def sum_over_processes(tensors: Iterable[torch.Tensor]) -> None:
    """Each tensor becomes its sum over all processes, in place; nothing happens where there is one."""
    if torch.distributed.is_initialized():
        for transfer in [torch.distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
            transfer.wait()


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


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies, killed too: it must not write on beside its successor."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            sys.exit(1)
