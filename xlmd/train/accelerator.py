"""What a training computes on, and the random numbers that it starts from."""

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from xlmd.devices import pick_device
from xlmd.errors import UserError
from xlmd.train.launch import check_processes
from xlmd.train.settings import TrainerSettings


def make_accelerator(settings: TrainerSettings) -> Accelerator:
    """The device, threads, precision and seeds of a run; call it before the model is built.

    Raises UserError if there are fewer GPUs, or more or fewer processes, than the settings say.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    # No other accelerators: the CTC library is for CPUs and CUDA.
    cpu = pick_device(settings.device).type == "cpu"
    if not cpu and settings.processes > torch.cuda.device_count():
        raise UserError(f"processes = {settings.processes}, but there are {torch.cuda.device_count()} GPUs here")
    check_processes(settings.processes)
    # The others wait while the first one validates.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=6))
    accelerator = Accelerator(cpu=cpu, mixed_precision=settings.precision, kwargs_handlers=[patience])
    if accelerator.num_processes != settings.processes:
        raise UserError(f"processes = {settings.processes}, but this is one of {accelerator.num_processes}")
    return accelerator
