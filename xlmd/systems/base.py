"""What every system of the tables offers, so that training, decoding and scoring need not know which one they run."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xlmd.data.batching import ParallelBatch
from xlmd.tensors import inside

logger = logging.getLogger(__name__)


class Translator(Protocol):
    """Anything that turns source sentences into translations; what decoding and latency run."""

    def translate(self, sources: Sequence[Sequence[int]]) -> list[list[int]]:
        """Translate sentences given and returned as bare subword ids (no specials), in the order given."""


@dataclass
class Decoded:
    """Translations of some sentences, and what each of them cost where that depends on the sentence.

    ids: bare subword ids of each. iterations, passes: how many iterations, and how many passes through the decoder, each
    sentence took; None where the options of decoding say it already.
    """

    ids: list[list[int]]
    iterations: list[int] | None = None
    passes: list[int] | None = None

    @classmethod
    def joined(cls, batches: Sequence["Decoded"], places: Sequence[Sequence[int]]) -> "Decoded":
        """Several batches as one; places: of each batch, where in the whole its sentences belong, from 0."""
        order = sorted((place, batch, row) for batch, own in enumerate(places) for row, place in enumerate(own))

        def gathered(name: str) -> list | None:
            parts = [getattr(batch, name) for batch in batches]
            return None if any(part is None for part in parts) else [parts[batch][row] for _, batch, row in order]

        return cls(gathered("ids"), gathered("iterations"), gathered("passes"))

    def means(self) -> dict[str, float]:
        """The mean of whatever was counted, over sentences: {"iterations": 3.2, "passes": 8.6} or less."""
        counted = {"iterations": self.iterations, "passes": self.passes}
        return {name: sum(counts) / len(counts) for name, counts in counted.items() if counts}


def cut(sources: Sequence[Sequence[int]], longest: int) -> list[Sequence[int]]:
    """The sources, each cut to `longest` subwords; warns of those that it cuts."""
    long = sum(len(source) > longest for source in sources)
    if long:
        logger.warning("%d sources have more than %d subwords and are cut", long, longest)
    return [source[:longest] for source in sources]


class System(ABC):
    """One system of the paper's tables: its settings, its model, its loss and its decoder.

    settings: an instance of `Settings`; tokenizer: the run's tokenizer.
    """

    name: ClassVar[str]
    printed: ClassVar[str]  # its name in the paper's tables
    # Settings that take the transformers folder of a trained model, and whose: "mlm", the masked language model of the
    # direction's base; "teacher"; or a run in the same direction: the name of a system, trained on the same data, or a
    # run's own, as "cmlm-original".
    pretrained: ClassVar[Mapping[str, str]] = {}
    # Numbers that it needs of each training pair beside its two sentences: the keys of `ParallelBatch.extra`.
    needs: ClassVar[tuple[str, ...]] = ()
    Settings: ClassVar[type]  # dataclass of architecture and objective; its fields become command-line flags
    Decoding: ClassVar[type]  # dataclass of the options of decoding; likewise

    def __init__(self, settings: Any, tokenizer: PreTrainedTokenizerBase) -> None:
        self.settings = settings
        self.tokenizer = tokenizer

    # The model

    @abstractmethod
    def build(self) -> PreTrainedModel:
        """A fresh model, from random weights or from the pre-trained model that the settings name."""

    @abstractmethod
    def load(self, folder: str | Path) -> PreTrainedModel:
        """A trained model from a transformers folder. Raises UserError if its shape is another."""

    def describe(self, model: PreTrainedModel) -> dict[str, Any]:
        """What tables say of a trained model: its settings, its name in the paper's words, and its size in a few."""
        return {"settings": asdict(self.settings), "label": self.printed, "size": self.size(model)}

    @abstractmethod
    def size(self, model: PreTrainedModel) -> str:
        """What was measured, as "2+2 layers": it stands below *Measured as*."""

    # Training

    @abstractmethod
    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        """Which pairs this system can train on.

        source_lengths, target_lengths, repeats: (N,) int64, bare subwords; `repeats` counts the target's equal
        neighbours. Returns {reason for leaving out: (N,) bool mask of the pairs left out for it}.
        """

    @abstractmethod
    def loss(
        self, model: torch.nn.Module, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """The training loss of a batch, a scalar, and figures to log.

        progress: the fraction of training done, in [0, 1), for schedules. generator: the only source of randomness
        besides dropout. The batch's `extra` has what the system `needs`.
        """

    def validation_decoding(self) -> Any:
        """The decoding that ranks checkpoints during training; override it where the default is slow."""
        return self.Decoding()

    # Decoding

    @abstractmethod
    def iterations_label(self, decoding: Any) -> str:
        """The number of iterations as tables print it: "1", "10", "N" (one per token) or "Adv." (adaptive)."""

    @abstractmethod
    def longest_source(self, model: PreTrainedModel) -> int:
        """The most subwords that a source may have, specials not counted; longer ones are cut."""

    @abstractmethod
    def decode(self, model: PreTrainedModel, source: torch.Tensor, lengths: torch.Tensor, decoding: Any) -> Decoded:
        """Translate a batch as the encoder reads it (`with_specials`), on the model's device.

        source: (B, I) int64, padded; lengths: (B,) int64, specials counted; B is at least 1, and a sentence may be
        empty but for its specials. decoding: an instance of `Decoding`. The model is in evaluation mode and no gradients
        are kept.
        """

    def with_specials(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`<s> x </s>` of every sentence: (B, longest + 2), and its lengths (B,). Override it for other specials.

        source: (B, I) bare and padded, with whatever; lengths: (B,) int64 without the padding.
        """
        tokenizer, filled = self.tokenizer, inside(lengths + 2)
        ids = torch.nn.functional.pad(source[:, : filled.shape[1] - 2], (1, 1))
        ids = ids.masked_fill(~filled, tokenizer.pad_token_id)
        ids[:, 0] = tokenizer.bos_token_id
        return ids.scatter(1, lengths.unsqueeze(1) + 1, tokenizer.eos_token_id), lengths + 2

    @torch.inference_mode()
    def decode_batch(self, model: PreTrainedModel, sources: Sequence[Sequence[int]], decoding: Any) -> Decoded:
        """Translate bare sentences: `decode`, once they are cut to the model's positions (with a warning) and padded."""
        if not sources:
            return Decoded([])
        model.eval()
        rows = [torch.tensor(source, dtype=torch.long) for source in cut(sources, self.longest_source(model))]
        lengths = torch.tensor([len(row) for row in rows])
        source, lengths = self.with_specials(pad_sequence(rows, batch_first=True), lengths)
        return self.decode(model, source.to(model.device), lengths.to(model.device), decoding)

    def translate(self, model: PreTrainedModel, sources: Sequence[Sequence[int]], decoding: Any) -> list[list[int]]:
        """Translate a batch of sentences, bare subword ids in and out; `decoding` is an instance of `Decoding`."""
        return self.decode_batch(model, sources, decoding).ids
