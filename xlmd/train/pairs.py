"""Which training pairs a system learns from, in each stage of its training."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from xlmd.data.batching import ParallelText
from xlmd.data.encoded import EncodedText
from xlmd.data.stages import JoinedText, first_of_equals
from xlmd.errors import UserError
from xlmd.systems import System

logger = logging.getLogger(__name__)


class UsablePairs:
    """The pairs of a parallel text that a system can train on.

    kept: their numbers, (N,) int64; left_out: {reason: how many were left out for it}. Raises UserError if none is left
    or the two sides differ in number.
    """

    def __init__(self, system: System, source: EncodedText, target: EncodedText) -> None:
        if len(source) != len(target):
            raise UserError(f"{source.prefix} has {len(source)} sentences but {target.prefix} has {len(target)}")
        self.source, self.target = source, target
        source_lengths, target_lengths = (
            torch.as_tensor(np.asarray(side.lengths, dtype=np.int64)) for side in (source, target)
        )
        reasons = {"empty side": (source_lengths == 0) | (target_lengths == 0)}
        repeats = torch.as_tensor(target.adjacent_repeats().astype(np.int64))
        reasons |= system.usable(source_lengths, target_lengths, repeats)
        kept = torch.ones(len(source), dtype=torch.bool)
        self.left_out = {}
        for reason, mask in reasons.items():
            self.left_out[reason] = int((mask & kept).sum())
            kept &= ~mask
        for reason, count in self.left_out.items():
            if count:
                logger.warning("%d of %d training pairs left out: %s", count, len(source), reason)
        if not kept.any():
            raise UserError(f"no usable training pair in {source.prefix} and {target.prefix}: {self.left_out}")
        self.kept = np.flatnonzero(kept.numpy())


class StagePairs:
    """The pairs of one stage: those of a text, or of several texts together, each pair once.

    parallel: the texts as one, with the numbers of its pairs in `parallel.keep`.
    """

    def __init__(self, texts: Sequence[UsablePairs]) -> None:
        self._left_out: Counter[str] = Counter()
        for text in texts:
            self._left_out.update(text.left_out)
        if len(texts) == 1:
            self.parallel = ParallelText(texts[0].source, texts[0].target, texts[0].kept)
            return
        starts = np.cumsum([0, *(len(text.source) for text in texts)])
        usable = np.concatenate([text.kept + start for text, start in zip(texts, starts, strict=False)])
        kept = usable[first_of_equals([(text.source, text.target) for text in texts])[usable]]
        self._left_out["there before"] = len(usable) - len(kept)
        sources, targets = (JoinedText([getattr(text, side) for text in texts]) for side in ("source", "target"))
        self.parallel = ParallelText(sources, targets, kept)

    def counts(self, too_long: int, max_tokens: int) -> dict[str, Any]:
        """What run.json says of them. too_long: how many are longer than a batch."""
        longer = {f"longer than a batch of {max_tokens} tokens": too_long}
        return {
            "pairs": len(self.parallel.source),
            "used": len(self.parallel) - too_long,
            "left_out": dict(self._left_out) | longer,
        }
