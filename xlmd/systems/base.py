"""What every system of the tables offers, so that training, decoding and scoring need not know which one they run."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from xlmd.data.batching import ParallelBatch
from xlmd.tensors import inside
from xlmd.weights import Model

logger = logging.getLogger(__name__)


class Translator(Protocol):
    """Anything that turns source sentences into translations; what decoding and latency run."""

    @property
    def iterations_label(self) -> str:
        """See `System`."""

    def translate(self, sources: Sequence[Sequence[int]]) -> list[list[int]]:
        """Translate sentences given and returned as bare subword ids (no specials), in the order given."""


def cut(sources: Sequence[Sequence[int]], longest: int) -> list[Sequence[int]]:
    """The sources, each cut to `longest` subwords; warns of those that it cuts."""
    long = sum(len(source) > longest for source in sources)
    if long:
        logger.warning("%d sources have more than %d subwords and are cut", long, longest)
    return [source[:longest] for source in sources]


class System(ABC, Generic[Model]):
    """One system of the paper's tables: its settings, its model, its loss and its decoder.

    settings: an instance of `Settings`; tokenizer: the run's tokenizer. Methods take a `model` that `build` or `load`
    made.
    """

    name: ClassVar[str]
    printed: ClassVar[str]  # its name in the paper's tables
    # Settings that take the transformers folder of a trained model, and whose: "mlm", the masked language model of the
    # direction's base; "teacher"; or a system, trained in the same direction on the same data.
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
    def build(self) -> Model:
        """A fresh model, from random weights or from the pre-trained model that the settings name."""

    def prepare(self, model: Model, batches: Sequence[ParallelBatch]) -> dict[str, Any]:
        """Fit a fresh model to the training data before the first update; returns what run.json says of it.

        batches: some of the training pairs, drawn at random from all of them, on the model's device. The result must
        follow from model and batches alone: every process of a run does it by itself.
        """
        return {}

    def examine(self, model: Model, sources: Sequence[Sequence[int]]) -> dict[str, float]:
        """Figures of how the model decodes, beside its BLEU, for curves.csv and run.json.

        sources: as for `translate`.
        """
        return {}

    def warnings(self, figures: dict[str, float]) -> list[str]:
        """What is wrong with a trained model of which `examine` gives these figures, for the log."""
        return []

    def choose(self, model: Model, bleu: Callable[[Any], float]) -> dict[str, Any]:
        """Options of decoding chosen on the dev set when training ends: what a decoding's name calls `dev`.

        bleu: the dev BLEU of a decoding (an instance of `Decoding`). Returns {option: value}.
        """
        return {}

    @abstractmethod
    def load(self, folder: str | Path) -> Model:
        """A trained model from a transformers folder. Raises UserError if its shape is another."""

    def describe(self, model: Model) -> dict[str, Any]:
        """What run.json says of a trained model, so that tables need to ask nothing else."""
        return {
            "system": self.name,
            "settings": asdict(self.settings),
            "label": self.label(model),
            "size": self.size(model),
        }

    def label(self, model: Model) -> str:
        """Its name in a row of a table; override it where rows of one system differ."""
        return self.printed

    @abstractmethod
    def size(self, model: Model) -> str:
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
        self, model: Any, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The training loss of a batch, a scalar, and figures to log: scalars too, detached, which nobody waits for.

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
    def longest_source(self, model: Any) -> int:
        """The most subwords that a source may have, specials not counted; longer ones are cut."""

    @abstractmethod
    def decode(self, model: Any, source: torch.Tensor, lengths: torch.Tensor, decoding: Any) -> list[list[int]]:
        """Bare translations of a batch as the encoder reads it (`with_specials`), on the model's device.

        source: (B, I) int64, padded; lengths: (B,) int64, specials counted; B is at least 1, and a sentence may be
        empty but for its specials. decoding: an instance of `Decoding`. The model is in evaluation mode, and no
        gradients are kept.
        """

    def effort(self) -> dict[str, float]:
        """What the sentences decoded since the last call took on average, for test.json; adaptive systems override it.

        Returns `mean_iterations` and `mean_passes` (of the decoder), or nothing where the settings say how many.
        """
        return {}

    def with_specials(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`<s> x </s>` of every sentence: (B, I + 2), and its lengths (B,). Override it for other specials.

        source: (B, I) bare and padded, with whatever; lengths: (B,) int64 without the padding.
        """
        tokenizer, ids = self.tokenizer, torch.nn.functional.pad(source, (1, 1))
        ids = ids.masked_fill(~inside(lengths + 2, ids.shape[1]), tokenizer.pad_token_id)
        ids[:, 0] = tokenizer.bos_token_id
        return ids.scatter(1, lengths.unsqueeze(1) + 1, tokenizer.eos_token_id), lengths + 2

    def batch(self, model: Any, sources: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Bare sentences, at least one, as `decode` takes them; longer ones than it takes are cut, with a warning."""
        rows = [torch.tensor(source, dtype=torch.long) for source in cut(sources, self.longest_source(model))]
        bare_lengths = torch.tensor([len(row) for row in rows])
        source, lengths = self.with_specials(pad_sequence(rows, batch_first=True), bare_lengths)
        return source.to(model.device), lengths.to(model.device)

    @torch.inference_mode()
    def translate(self, model: Any, sources: Sequence[Sequence[int]], decoding: Any) -> list[list[int]]:
        """Translate a batch of sentences, bare subword ids in and out; `decoding` is an instance of `Decoding`."""
        if not sources:
            return []
        model.eval()
        return self.decode(model, *self.batch(model, sources), decoding)
