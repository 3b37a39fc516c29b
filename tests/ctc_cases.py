"""Random CTC problems, and oracles that enumerate every path of a tiny one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor


@dataclass
class Problem:
    """The arguments of the CTC functions; log_probs (B, T, V)."""

    log_probs: Tensor
    targets: Tensor
    input_lengths: Tensor
    target_lengths: Tensor
    blank: int = 0

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.log_probs, self.targets, self.input_lengths, self.target_lengths

    @property
    def rest(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.targets, self.input_lengths, self.target_lengths


def problem(
    batch: int,
    length: int,
    labels: int,
    vocabulary: int,
    *,
    seed: int = 0,
    blank: int = 0,
    dtype: torch.dtype = torch.float32,
    ragged: bool = True,
    scale: float = 1.0,
) -> Problem:
    """Random rows of log-probabilities; with `ragged`, lengths of all sizes (the first sentence has the full ones)."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(batch, length, vocabulary, generator=generator, dtype=torch.float64) * scale
    targets = torch.randint(1, vocabulary, (batch, labels), generator=generator)
    targets = torch.where(targets <= blank, targets - 1, targets)
    input_lengths, target_lengths = torch.full((batch,), length), torch.full((batch,), labels)
    if ragged:
        input_lengths[1:] = torch.randint(0, length + 1, (batch - 1,), generator=generator)
        target_lengths[1:] = torch.randint(0, labels + 1, (batch - 1,), generator=generator)
    return Problem(scores.log_softmax(-1).to(dtype), targets, input_lengths, target_lengths, blank)


def collapse(tokens: tuple[int, ...], blank: int) -> list[int]:
    return [token for t, token in enumerate(tokens) if token != blank and (t == 0 or tokens[t - 1] != token)]


def token_paths(length: int, vocabulary: int, target: list[int], blank: int) -> Iterator[tuple[int, ...]]:
    """Every token sequence that collapses to the target: the definition of CTC, with no lattice in it."""
    return (path for path in product(range(vocabulary), repeat=length) if collapse(path, blank) == target)


def state_paths(length: int, target: list[int]) -> Iterator[tuple[int, ...]]:
    """Every path through the lattice of a target."""
    end = 2 * len(target)

    def extend(path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(path) == length:
            if path[-1] >= end - 1:
                yield path
            return
        state = path[-1]
        steps = [state, state + 1]
        if state % 2 and state + 2 < end and target[state // 2] != target[state // 2 + 1]:
            steps.append(state + 2)
        for step in steps:
            if step <= end:
                yield from extend((*path, step))

    if length == 0:
        if not target:
            yield ()
        return
    for start in (0, 1):
        if start <= end:
            yield from extend((start,))


def tokens_of(path: tuple[int, ...], target: list[int], blank: int) -> list[int]:
    return [target[state // 2] if state % 2 else blank for state in path]


def path_score(log_probs: Tensor, tokens: list[int] | tuple[int, ...], skipped: set[int] = frozenset()) -> float:
    return sum(float(log_probs[t, token]) for t, token in enumerate(tokens) if t not in skipped)


def log_sum(scores: list[float]) -> float:
    finite = [score for score in scores if score > -math.inf]
    if not finite:
        return -math.inf
    return math.log(sum(math.exp(score - max(finite)) for score in finite)) + max(finite)


def sentences(case: Problem) -> Iterator[tuple[Tensor, list[int]]]:
    """Each sentence's rows within its length, and its target."""
    for b in range(len(case.targets)):
        yield (
            case.log_probs[b, : case.input_lengths[b]],
            case.targets[b, : case.target_lengths[b]].tolist(),
        )
