"""What the CTC functions accept. Every message names the argument and the value at fault."""

from collections.abc import Sequence

import torch
from torch import Tensor

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def check_reduction(reduction: str) -> None:
    require(reduction in ("none", "sum", "mean"), f"reduction must be none, sum or mean, got {reduction!r}")


def check_tensor(name: str, tensor: Tensor) -> None:
    require(isinstance(tensor, Tensor), f"{name} must be a tensor, got {type(tensor).__name__}")


def lengths_tensor(name: str, lengths: Tensor | Sequence[int], device: torch.device) -> Tensor:
    """Lengths as a tensor: (B,) int64 on `device` where they came as a list or tuple of integers, else unchanged."""
    if isinstance(lengths, Tensor):
        return lengths
    valid = isinstance(lengths, Sequence) and all(isinstance(n, int) and not isinstance(n, bool) for n in lengths)
    require(valid, f"{name} must be a tensor or a list of integers, got {lengths!r}")
    return torch.tensor(lengths, dtype=torch.int64, device=device)


def check_floats(name: str, tensor: Tensor, dimensions: int, shape: str) -> None:
    check_tensor(name, tensor)
    require(tensor.dim() == dimensions, f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
    require(tensor.dtype in FLOATS, f"{name} must be floating point, got {tensor.dtype}")


def check_integers(name: str, tensor: Tensor, shape: tuple[int, ...], meaning: str, device: torch.device) -> None:
    check_tensor(name, tensor)
    require(tuple(tensor.shape) == shape, f"{name} must have shape {meaning} = {shape}, got {tuple(tensor.shape)}")
    require(tensor.dtype == torch.int64, f"{name} must be int64, got {tensor.dtype}")
    require(tensor.device == device, f"{name} is on {tensor.device}, the scores are on {device}")


def check_labels_and_lengths(
    targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, batch: int, device: torch.device
) -> None:
    check_tensor("targets", targets)
    require(targets.dim() == 2, f"targets must have shape (B, L), got {tuple(targets.shape)}")
    check_integers("targets", targets, (batch, targets.shape[1]), "(B, L)", device)
    check_integers("input_lengths", input_lengths, (batch,), "(B,)", device)
    check_integers("target_lengths", target_lengths, (batch,), "(B,)", device)


def check_target(
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    batch: int,
    length: int,
    vocabulary: int,
    blank: int,
    device: torch.device,
) -> None:
    """Shapes, dtypes and devices: everything that can be seen without reading a tensor's values."""
    check_labels_and_lengths(targets, input_lengths, target_lengths, batch, device)
    if observed is not None:
        check_integers("observed", observed, (batch, length), "(B, T)", device)
    require(0 <= blank < vocabulary, f"blank must be a column 0..{vocabulary - 1}, got {blank}")


def _check_range(name: str, tensor: Tensor, valid: Tensor, expected: str) -> None:
    if not bool(valid.all()):
        place = (~valid).nonzero()[0].tolist()
        raise ValueError(f"{name}[{', '.join(map(str, place))}] is {int(tensor[tuple(place)])}, expected {expected}")


def check_lengths(name: str, lengths: Tensor, limit: int | None) -> None:
    if limit is None:
        _check_range(name, lengths, lengths >= 0, "a length of 0 or more")
    else:
        _check_range(name, lengths, (lengths >= 0) & (lengths <= limit), f"a length in 0..{limit}")


def check_values(
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    length: int,
    vocabulary: int,
    blank: int,
    by_state: bool,
) -> None:
    """Lengths, labels and observations within their ranges. Reads values, so on CUDA it waits for the device."""
    check_lengths("input_lengths", input_lengths, length)
    check_lengths("target_lengths", target_lengths, targets.shape[1])
    beyond = torch.arange(targets.shape[1], device=targets.device) >= target_lengths[:, None]
    valid = (targets >= 0) & (targets < vocabulary) & (targets != blank)
    _check_range("targets", targets, valid | beyond, f"a label in 0..{vocabulary - 1} other than the blank ({blank})")
    if observed is not None:
        beyond = torch.arange(length, device=targets.device) >= input_lengths[:, None]
        if by_state:
            valid = (observed >= -1) & (observed <= 2 * target_lengths[:, None])
            _check_range("observed", observed, valid | beyond, "-1 (free) or a lattice state 0..2 * target length")
        else:
            valid = (observed >= -1) & (observed < vocabulary)
            _check_range("observed", observed, valid | beyond, f"-1 (free) or a token in 0..{vocabulary - 1}")


def without_bad_values(
    targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, length: int, vocabulary: int, blank: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Safe stand-ins for targets and lengths, and (B,) bool: which sentences held a bad one. Never synchronises.

    A bad sentence keeps all its rows, so that its NaN reaches every gradient that it has a part in.
    """
    labels = targets.shape[1]
    bad = (input_lengths < 0) | (input_lengths > length) | (target_lengths < 0) | (target_lengths > labels)
    input_lengths, target_lengths = input_lengths.clamp(0, length), target_lengths.clamp(0, labels)
    within = torch.arange(labels, device=targets.device) < target_lengths[:, None]
    wrong = within & ((targets < 0) | (targets >= vocabulary) | (targets == blank))
    bad = bad | wrong.any(1)
    return targets.masked_fill(wrong | ~within, blank), input_lengths.masked_fill(bad, length), target_lengths, bad


def safe_target(
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    length: int,
    vocabulary: int,
    blank: int,
    by_state: bool,
    validate: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Targets and lengths within their ranges: raising for a bad one, or see `without_bad_values` (else None, last)."""
    if not validate:
        return without_bad_values(targets, input_lengths, target_lengths, length, vocabulary, blank)
    check_values(targets, input_lengths, target_lengths, observed, length, vocabulary, blank, by_state)
    beyond = torch.arange(targets.shape[1], device=targets.device) >= target_lengths[:, None]
    return targets.masked_fill(beyond, blank), input_lengths, target_lengths, None


def spoilt_path(states: Tensor, score: Tensor, bad: Tensor | None) -> tuple[Tensor, Tensor]:
    """A best path whose bad sentences have -1 throughout and score NaN. Overwrites its arguments."""
    if bad is None:
        return states, score
    return states.masked_fill_(bad[:, None], -1), score.masked_fill_(bad, float("nan"))
