"""The device that a computation runs on, by its name."""

import os

import torch

from xlmd.errors import UserError


def pick_device(name: str) -> torch.device:
    """The device of a name: "cpu", "cuda", "cuda:1", or "auto".

    "auto" is what the environment variable XLMD_DEVICE names, which the workflow sets. Without it, or if that says
    "auto" too, it is the GPU if there is one and else the CPU.

    Raises UserError naming the devices that there are if this is none of them.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = ["cpu", *(["cuda"] if count else []), *(f"cuda:{number}" for number in range(count))]
    if name == "auto":
        name = os.environ.get("XLMD_DEVICE", "auto")
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    if name not in there:
        raise UserError(f"device = {name!r}: there is no such device here, only {', '.join(['auto', *there])}")
    return torch.device(name)


def gpu_name(device: torch.device) -> str | None:
    """The name of a GPU, or None of a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None
