"""One trained point of the grid: a system trained on one data set, from files to files."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sacrebleu
import torch
from transformers import PreTrainedModel

from xlmd.data.batching import BatchStream, ParallelText
from xlmd.data.encoded import EncodedText, decode_ids, encoded_paths
from xlmd.data.preprocess import Tokenization
from xlmd.data.romanian import Letters
from xlmd.data.text import read_lines
from xlmd.data.tokenizer import copy_tokenizer, load_tokenizer
from xlmd.errors import UserError
from xlmd.options import option, required
from xlmd.systems import System, find_system
from xlmd.train.launch import is_first
from xlmd.train.recipe import train_task
from xlmd.train.settings import TrainerSettings
from xlmd.translate.load import translate_all

logger = logging.getLogger(__name__)


# Sentences that a fresh model is fitted to before the first update, and that show how it decodes.
_PREPARED, _EXAMINED, _TOGETHER = 256, 32, 32


@dataclass
class TrainFiles:
    """What a training run reads and writes. An encoded file is named without its .ids.npy and .offsets.npy."""

    direction: str = required("translation direction, as en-de")
    tokenizer: str = required("tokenizer: hub name or folder")
    source: str = required("encoded source side of the training pairs")
    target: str = required("encoded target side")
    dev_source: str = required("encoded source side of the dev set")
    dev_reference: str = required("Moses-tokenised target side of the dev set, text")
    out: str = required("run folder to write")
    tokenize: Tokenization = option("moses", "how the corpora were tokenised")
    romanian: Letters = option("comma", "how the corpora spell Romanian")
    code: str = option("", "version of the code: a checkpoint of another version is not continued")


def usable_pairs(system: System, source: EncodedText, target: EncodedText) -> tuple[np.ndarray, dict[str, int]]:
    """Numbers of the pairs that `system` can train on, (N,) int64, and how many were left out for which reason.

    Raises UserError if none is left or the two sides differ in number.
    """
    if len(source) != len(target):
        raise UserError(f"{source.prefix} has {len(source)} sentences but {target.prefix} has {len(target)}")
    source_lengths, target_lengths = (
        torch.as_tensor(np.asarray(side.lengths, dtype=np.int64)) for side in (source, target)
    )
    reasons = {"empty side": (source_lengths == 0) | (target_lengths == 0)}
    reasons |= system.usable(
        source_lengths, target_lengths, torch.as_tensor(target.adjacent_repeats().astype(np.int64))
    )
    kept = torch.ones(len(source), dtype=torch.bool)
    dropped = {}
    for reason, mask in reasons.items():
        dropped[reason] = int((mask & kept).sum())
        kept &= ~mask
    for reason, count in dropped.items():
        if count:
            logger.warning("%d of %d training pairs left out: %s", count, len(source), reason)
    if not kept.any():
        raise UserError(f"no usable training pair in {source.prefix} and {target.prefix}: {dropped}")
    return np.flatnonzero(kept.numpy()), dropped


def train(system_name: str, system_settings: Any, trainer: TrainerSettings, files: TrainFiles) -> None:
    """Train one system and write its run folder: tokenizer/, model/, curves.csv, run.json.

    run.json counts the pairs left out. Raises UserError on settings or files that do not fit.
    """
    task, out = _Translation(system_name, system_settings, trainer, files), Path(files.out)
    if is_first():
        copy_tokenizer(files.tokenizer, out / "tokenizer")
    train_task(task, trainer, out, files.code)


class _Translation:
    """A system, its training pairs and its dev set, as a `Task`."""

    best_by = "bleu"

    def __init__(self, name: str, settings: Any, trainer: TrainerSettings, files: TrainFiles) -> None:
        self.name, self.settings, self.trainer, self.files = name, settings, trainer, files
        self.tokenizer = load_tokenizer(files.tokenizer)
        self.system = find_system(name)(settings, self.tokenizer)
        self.loss = self.system.loss
        self.source, self.target, self.dev = (
            EncodedText(prefix) for prefix in (files.source, files.target, files.dev_source)
        )
        references = read_lines(files.dev_reference)
        if len(references) != len(self.dev):
            raise UserError(
                f"{files.dev_reference} has {len(references)} lines but {files.dev_source} {len(self.dev)} sentences"
            )
        self.references = references[: trainer.validation_sentences]
        self.kept, self.dropped = usable_pairs(self.system, self.source, self.target)
        self.pairs = ParallelText(self.source, self.target, keep=self.kept)
        self.examined = [self.dev[index].tolist() for index in range(min(_EXAMINED, len(self.references)))]
        self.prepared: dict[str, Any] = {}
        self.recorded: Mapping[str, Any] = {"system": name, "settings": asdict(settings), "files": asdict(files)}
        self.inputs = self._inputs()
        out = Path(files.out)
        self.description = f"{name} {out.parent.name}/{out.name}"

    def _inputs(self) -> list[str | Path]:
        files = self.files
        prefixes = files.source, files.target, files.dev_source
        named = [files.tokenizer, *(getattr(self.settings, name) for name in self.system.pretrained)]
        return [
            *(path for prefix in prefixes for path in encoded_paths(prefix)),
            files.dev_reference,
            *(path for path in named if Path(path).is_dir()),  # a hub's name stands for itself
        ]

    def build(self) -> PreTrainedModel:
        """A run that is continued prepares its model as it did before, and then reads the checkpoint's weights."""
        model = self.system.build()
        drawn = np.random.default_rng(self.trainer.seed).permutation(self.kept)[:_PREPARED]
        batches = [
            self.pairs.collate(drawn[start : start + _TOGETHER], self.tokenizer.pad_token_id)
            for start in range(0, len(drawn), _TOGETHER)
        ]
        self.prepared = self.system.prepare(model, batches)
        return model

    def stream(self, rank: int) -> BatchStream:
        return BatchStream(
            self.pairs,
            max_tokens=self.trainer.max_tokens,
            pad=self.tokenizer.pad_token_id,
            seed=self.trainer.seed,
            curriculum=self.trainer.curriculum,
            processes=self.trainer.processes,
            rank=rank,
        )

    def validate(self, model: PreTrainedModel) -> dict[str, float]:
        bleu = self._bleu(model, self.system.validation_decoding())
        return {"bleu": bleu} | self.system.examine(model, self.examined)

    def _bleu(self, model: PreTrainedModel, decoding: Any) -> float:
        """Dev BLEU."""
        sample = self.references
        ids = translate_all(self.system, model, self.dev, decoding, self.trainer.max_tokens, len(sample))
        hypotheses = [decode_ids(self.tokenizer, sentence) for sentence in ids]
        return sacrebleu.corpus_bleu(hypotheses, [sample], tokenize="none", force=True).score

    def facts(self, model: PreTrainedModel, stream: BatchStream) -> dict[str, Any]:
        longer = {f"longer than a batch of {self.trainer.max_tokens} tokens": stream.left_out}
        figures = self.system.examine(model, self.examined)
        for warning in self.system.warnings(figures):
            logger.warning("%s: %s", self.files.out, warning)
        return {
            "description": {"direction": self.files.direction} | self.system.describe(model),
            "data": {
                "pairs": len(self.source),
                "used": len(self.kept) - stream.left_out,
                "left_out": self.dropped | longer,
            },
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "prepared": self.prepared,
            "examined": figures,
            "chosen": self.system.choose(model, lambda decoding: self._bleu(model, decoding)),
        }
