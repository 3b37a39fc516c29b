"""Starting a training in several processes on one machine, one per GPU, and knowing whether this is one of them."""

import ctypes
import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence

from xlmd.errors import UserError

logger = logging.getLogger(__name__)

_OWN = "XLMD_PROCESS"
_LAUNCHER = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun gives each process
# What accelerate takes for a launcher's word, too.
_COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def launched() -> bool:
    """Whether a launcher (torchrun, accelerate, `start`) started this process as one of several."""
    return all(name in os.environ for name in _LAUNCHER)


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return not launched() or os.environ["RANK"] == "0"


def check_processes(processes: int) -> None:
    """See that the environment speaks of so many processes, before anything waits for them.

    Variables that no launcher set for this process, as a shell inside another job has them, are removed. Raises
    UserError if a launcher started another number of processes, or this is none of them.
    """
    if not launched():
        leaked = [name for name in (*_LAUNCHER[:3], *_COUNTS) if os.environ.pop(name, None) is not None]
        if leaked:
            logger.warning("%s in the environment: of no launcher of this process, ignored", ", ".join(leaked))
        return
    started, rank = os.environ["WORLD_SIZE"], os.environ["RANK"]
    if started != str(processes) or rank not in map(str, range(processes)):
        raise UserError(
            f"processes = {processes}, but the environment says that this is number {rank} (RANK) of {started} "
            f"(WORLD_SIZE): give the launcher the same number, or unset {', '.join(_LAUNCHER)} if there is none"
        )


def start(processes: int, argv: Sequence[str]) -> bool:
    """Run `xlmd argv` in so many processes and wait for them, if this is not one of them already.

    Returns whether it did so: if not, the caller does the work itself, as in a process that torchrun or accelerate
    started. One that fails ends the others, and this process with them; what went wrong is its own message.
    """
    if processes == 1 or launched():
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


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies, killed too: it must not write on beside its successor."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            sys.exit(1)
