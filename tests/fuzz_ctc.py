"""Random sentences through the native CTC library and the float64 reference: `make fuzz N=100000`.

Every batch mixes what can go wrong: ragged and empty sentences, repeats, infeasible targets, cells of -inf and NaN,
integer scores (ties), confident rows, constraints of both kinds, odd memory layouts. A failure prints the command that
repeats it.
"""

import argparse
import importlib.util
import math
import sys
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

SENTENCES = 24  # a batch has up to twice as many


def load_native(path: str) -> None:
    """Use the extension module at `path`, such as one built with sanitizers, in place of the installed one."""
    import xlmd._cuda

    spec = importlib.util.spec_from_file_location("xlmd._cuda.native", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["xlmd._cuda.native"] = xlmd._cuda.native = module


@dataclass
class Batch:
    log_probs: Tensor
    lattice: tuple[Tensor, Tensor, Tensor]
    blank: int
    observed: Tensor | None
    constraint: str
    score_observed: bool

    @property
    def options(self) -> dict:
        return {
            "blank": self.blank,
            "observed": self.observed,
            "constraint": self.constraint,
            "score_observed": self.score_observed,
        }


def random_batch(seed: int, index: int) -> Batch:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    def chance(p: float) -> bool:
        return float(torch.rand((), generator=generator)) < p

    batch, length, labels = integer(1, 2 * SENTENCES), integer(0, 30), integer(0, 10)
    vocabulary = integer(2, 6) if chance(0.5) else integer(7, 40)
    blank = integer(0, vocabulary - 1)
    scores = torch.randn(batch, length, vocabulary, generator=generator) * (10 ** integer(-1, 2))
    if chance(0.3):
        scores = scores.round().clamp(-2, 2)
    elif chance(0.7):
        scores = scores.log_softmax(-1)
    if chance(0.2):
        scores.masked_fill_(torch.rand(scores.shape, generator=generator) < 0.05, -math.inf)
    if chance(0.1):
        scores.masked_fill_(torch.rand(scores.shape, generator=generator) < 0.002, math.nan)
    targets = torch.randint(0, vocabulary - 1, (batch, labels), generator=generator)
    targets += targets >= blank
    input_lengths = torch.randint(0, length + 1, (batch,), generator=generator)
    target_lengths = torch.minimum(
        torch.randint(0, labels + 1, (batch,), generator=generator), input_lengths + integer(0, 1)
    ).clamp(max=labels)
    if chance(0.3):
        input_lengths[:], target_lengths[:] = length, min(labels, length)
    targets = torch.where(torch.arange(labels) < target_lengths[:, None], targets, -100)
    if chance(0.3):
        scores = scores.transpose(0, 1).contiguous().transpose(0, 1)
    observed, constraint = None, "token"
    if chance(0.6):
        constraint = "state" if chance(0.5) else "token"
        if chance(0.8):  # part of a possible path, else anything
            from xlmd.ctc import reference

            states, _ = reference.best_path(
                scores.nan_to_num().double(), targets.clamp(min=0), input_lengths, target_lengths, blank
            )
            if constraint == "token":
                labels_of = reference.lattice_labels(targets.clamp(min=0), blank)
                observed = labels_of.gather(1, states.clamp(min=0)).masked_fill(states < 0, -1)
            else:
                observed = states
            observed = observed.masked_fill(torch.rand(observed.shape, generator=generator) < 0.6, -1)
        elif constraint == "token":
            observed = torch.randint(-1, vocabulary, (batch, length), generator=generator)
        else:
            observed = torch.randint(-1, 2 * labels + 1, (batch, length), generator=generator)
            observed = torch.minimum(observed, 2 * target_lengths[:, None])
    return Batch(scores, (targets, input_lengths, target_lengths), blank, observed, constraint, chance(0.8))


def same(name: str, actual: Tensor, expected: Tensor, relative: float, absolute: float) -> None:
    torch.testing.assert_close(
        actual.double(),
        expected.double(),
        rtol=relative,
        atol=absolute,
        equal_nan=True,
        msg=lambda text: f"{name}: {text}",
    )


def check(batch: Batch) -> None:
    from xlmd.ctc import ctc_best_path, ctc_loss, linear_ctc_loss, reference

    targets, input_lengths, target_lengths = batch.lattice
    scores = batch.log_probs.detach().clone().requires_grad_()
    exact = batch.log_probs.detach().double().requires_grad_()
    losses, gradients = [], []
    for table in (scores, exact):
        losses.append(ctc_loss(table, *batch.lattice, reduction="none", **batch.options))
        gradients.append(torch.autograd.grad(losses[-1].sum(), table)[0])
    # The size of what was summed bounds the rounding of the loss: scores of both signs may cancel in it.
    size = float(exact.detach().nan_to_num(0, 0, 0).abs().amax()) * scores.shape[1] if scores.numel() else 0.0
    same("loss", losses[0], losses[1], 2e-6, 1e-5 + 2e-7 * size)
    same("gradient", gradients[0], gradients[1], 0, 2e-5 + 1e-7 * size)

    if batch.constraint == "token":
        best = ctc_best_path(batch.log_probs, *batch.lattice, blank=batch.blank, observed=batch.observed)
        states, score = reference.best_path(
            batch.log_probs, targets.clamp(min=0), input_lengths, target_lengths, batch.blank, batch.observed
        )
        assert torch.equal(best.states, states), "best path: states differ"
        same("best score", best.score, score, 0, 0)

    if scores.shape[1] and not scores.isnan().any() and not scores.isinf().any():
        weight = torch.eye(scores.shape[2], device=scores.device)
        hidden = batch.log_probs.detach().clamp(-30, 30).requires_grad_()
        wide = hidden.detach().double().requires_grad_()
        expected = ctc_loss(
            F.log_softmax(wide, -1), *batch.lattice, zero_infinity=True, reduction="sum", **batch.options
        )
        truth = torch.autograd.grad(expected, wide)[0]
        for mode in ("rows", "vocab"):
            loss = linear_ctc_loss(
                hidden,
                weight,
                *batch.lattice,
                zero_infinity=True,
                reduction="sum",
                mode=mode,
                chunk_rows=40,
                **batch.options,
            )
            same(f"linear loss by {mode}", loss, expected, 1e-5, 1e-3)
            same(f"linear gradient by {mode}", torch.autograd.grad(loss, hidden)[0], truth, 1e-4, 3e-5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000, help="sentences to try")
    parser.add_argument("--seed", type=int, default=None, help="default: the clock")
    parser.add_argument("--only", type=int, default=None, help="check this batch alone")
    parser.add_argument("--native", default=None, help="an extension module to test instead of the installed one")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    if options.native:
        load_native(options.native)
    from xlmd.ctc import primitives

    assert primitives.built, "the native library is not built"
    print(f"seed {seed}", flush=True)
    tried, index = 0, 0 if options.only is None else options.only
    with tqdm(total=options.n, unit="sentence", mininterval=1) as progress:
        while tried < options.n:
            batch = random_batch(seed, index)
            try:
                check(batch)
            except Exception:
                print(f"\nfailed: python tests/fuzz_ctc.py --seed {seed} --only {index}", file=sys.stderr)
                raise
            count = len(batch.lattice[0])
            tried += count
            progress.update(count)
            if options.only is not None:
                break
            index += 1
    print(f"{tried} sentences in {index} batches agree with the reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
