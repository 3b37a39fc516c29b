"""Weights and checkpoints of an unfinished run: written as a whole or not at all, and never executed."""

import errno
import fcntl
import hashlib
import io
import json
import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import save

from xlmd.errors import UserError
from xlmd.files import atomic_folder, atomic_write
from xlmd.weights import read_weights

logger = logging.getLogger(__name__)


def fingerprint(settings: dict) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


class Checkpoints:
    """The state of an unfinished run below `folder`: the latest checkpoint and the best validated weights.

    A checkpoint is a folder of its own, there as a whole or not at all; older ones go once it is there.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._others: Path | None = None  # where a checkpoint of another run goes
        self._lock: IO | None = None

    def lock(self) -> None:
        """Keep other processes out until this one ends. Raises UserError if one is at work."""
        path = self.folder.with_name(".lock")
        try:
            self._lock = path.open("a", encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise UserError(f"another process trains into {path.parent}: wait for it, or end it") from error
            logger.warning("%s: this file system has no locks (%s); see that no other job trains here", path, error)

    @property
    def latest(self) -> Path | None:
        return max((path.parent for path in self.folder.glob("step-????????/state.pt")), default=None)

    def load(self) -> dict | None:
        """The latest checkpoint's state, or None if there is none of these settings and data."""
        latest = self.latest
        if latest is None:
            return None
        path = latest / "state.pt"
        # weights_only: a checkpoint can hold numbers, not code.
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            weights = read_weights(latest / "model.safetensors")
        except Exception as error:
            raise UserError(
                f"{path} is not a readable checkpoint ({error}); delete its folder to start anew"
            ) from error
        if state["fingerprint"] != self.fingerprint:
            self._others = self.folder.with_name(f"{self.folder.name}.{state['fingerprint'][:8]}")
            logger.warning(
                "%s belongs to a run with other settings, data or code: starting anew. Until this run is done it is "
                "kept in %s; to go on with it, restore what it belongs to and move it back",
                latest,
                self._others,
            )
            return None
        return state | {"model": weights}

    def save(self, model: dict[str, torch.Tensor], state: dict) -> None:
        serialised = io.BytesIO()
        torch.save(state | {"fingerprint": self.fingerprint}, serialised)
        new = self.folder / f"step-{state['step']:08d}"
        with atomic_folder(new) as folder:
            for name, content in (("model.safetensors", save(model)), ("state.pt", serialised.getvalue())):
                with atomic_write(folder / name, "wb") as handle:  # plain writes: they report a full disk
                    handle.write(content)
        kept = {new, *(self.best(step) for _, step in state["best"])}
        for path in self.folder.iterdir():
            if path.is_dir() and path not in kept:
                shutil.rmtree(path)
            elif path not in kept:
                path.unlink()

    def best(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}.safetensors"

    def save_best(self, step: int, model: dict[str, torch.Tensor]) -> None:
        with atomic_write(self.best(step), "wb") as handle:
            handle.write(save(model))

    def start_anew(self) -> None:
        """Set the checkpoint of another run aside, which `load` found; remove what led to none."""
        if self._others is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        shutil.rmtree(self._others, ignore_errors=True)
        try:
            os.replace(self.folder, self._others)
        except OSError as error:
            raise UserError(f"cannot move {self.folder} to {self._others}: {error.strerror or error}") from error

    def clear(self) -> None:
        """Remove everything, what was set aside too."""
        with suppress(OSError):  # a kill in the middle must not leave half of a checkpoint under its own name
            os.replace(self.folder, self.folder.with_name(f"{self.folder.name}.done"))
        for path in (self.folder, *self.folder.parent.glob(f"{self.folder.name}.*")):
            shutil.rmtree(path, ignore_errors=True)


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's tensors on the CPU, tied ones once (safetensors refuses shared memory)."""
    kept, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            kept[name] = tensor.detach().cpu().contiguous()
    return kept


def average_weights(paths: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of several checkpoints' weights, computed in float64. Raises UserError naming one that is damaged."""
    total: dict[str, torch.Tensor] = {}
    for path in paths:
        for name, tensor in read_weights(path).items():
            total[name] = total.get(name, 0) + tensor.double()
    return {name: (tensor / len(paths)).float() for name, tensor in total.items()}


def load_weights(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """The inverse of `weights_of`: tied tensors follow their twin."""
    model.load_state_dict(weights, strict=False)
    tied = {tensor.data_ptr() for name, tensor in model.state_dict().items() if name in weights}
    missing = [name for name, tensor in model.state_dict().items() if tensor.data_ptr() not in tied]
    if missing:
        raise UserError(f"a checkpoint lacks the weights {missing[:5]}")
