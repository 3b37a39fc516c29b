"""One trained point of the grid: a system trained on one data set, from files to files."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sacrebleu
from transformers import PreTrainedModel

from xlmd.data.batching import BatchStream
from xlmd.data.encoded import EncodedText, decode_ids, encoded_paths
from xlmd.data.preprocess import Tokenization
from xlmd.data.romanian import Letters
from xlmd.data.stages import StagedStream
from xlmd.data.text import read_lines
from xlmd.data.tokenizer import copy_tokenizer, load_tokenizer
from xlmd.errors import UserError
from xlmd.experiment.names import OWN
from xlmd.options import option, required
from xlmd.systems import find_system
from xlmd.train.launch import is_first
from xlmd.train.pairs import StagePairs, UsablePairs
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
    further_source: list[str] = option((), "encoded source sides of further pairs, in the order of what they are")
    further_target: list[str] = option((), "encoded target sides of further pairs")
    tokenize: Tokenization = option("moses", "how the corpora were tokenised")
    romanian: Letters = option("comma", "how the corpora spell Romanian")
    code: str = option("", "version of the code: a checkpoint of another version is not continued")


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
        self.dev = EncodedText(files.dev_source)
        references = read_lines(files.dev_reference)
        if len(references) != len(self.dev):
            raise UserError(
                f"{files.dev_reference} has {len(references)} lines but {files.dev_source} {len(self.dev)} sentences"
            )
        self.references = references[: trainer.validation_sentences]
        self.stages = self.system.stages()
        texts = {kind: UsablePairs(self.system, *text) for kind, text in self._texts().items()}
        self.pairs = [StagePairs([texts[kind] for kind in stage.data]) for stage in self.stages]
        self.examined = [self.dev[index].tolist() for index in range(min(_EXAMINED, len(self.references)))]
        self.studied = self.system.study(self.pairs[-1].parallel)
        self.prepared: dict[str, Any] = {}
        self.recorded: Mapping[str, Any] = {"system": name, "settings": asdict(settings), "files": asdict(files)}
        self.inputs = self._inputs()
        out = Path(files.out)
        self.description = f"{name} {out.parent.name}/{out.name}"

    def _texts(self) -> dict[str, tuple[EncodedText, EncodedText]]:
        """The parallel texts that stages name."""
        files, kinds = self.files, self.system.further_data
        if not len(files.further_source) == len(files.further_target) == len(kinds):
            raise UserError(f"{self.name} needs the sources and the targets of {len(kinds)} further texts: {kinds}")
        prefixes = [files.source, *files.further_source], [files.target, *files.further_target]
        sources, targets = ([EncodedText(prefix) for prefix in side] for side in prefixes)
        return dict(zip((OWN, *kinds), zip(sources, targets, strict=True), strict=True))

    def _inputs(self) -> list[str | Path]:
        files = self.files
        prefixes = [files.source, files.target, *files.further_source, *files.further_target, files.dev_source]
        named = [files.tokenizer, *(getattr(self.settings, name) for name in self.system.pretrained)]
        return [
            *(path for prefix in prefixes for path in encoded_paths(prefix)),
            files.dev_reference,
            *(path for path in named if path and Path(path).is_dir()),  # a hub's name stands for itself
        ]

    def build(self) -> PreTrainedModel:
        """A run that is continued prepares its model as it did before, and then reads the checkpoint's weights."""
        model = self.system.build()
        last = self.pairs[-1]
        drawn = np.random.default_rng(self.trainer.seed).permutation(last.parallel.keep)[:_PREPARED]
        batches = [
            last.parallel.collate(drawn[start : start + _TOGETHER], self.tokenizer.pad_token_id)
            for start in range(0, len(drawn), _TOGETHER)
        ]
        self.prepared = self.system.prepare(model, batches)
        return model

    def stream(self, rank: int) -> StagedStream:
        streams = [
            BatchStream(
                pairs.parallel,
                max_tokens=self.trainer.max_tokens,
                pad=self.tokenizer.pad_token_id,
                seed=self.trainer.seed,
                curriculum=self.trainer.curriculum,
                processes=self.trainer.processes,
                rank=rank,
            )
            for pairs in self.pairs
        ]
        return StagedStream(streams, [stage.until for stage in self.stages])

    def validate(self, model: PreTrainedModel) -> dict[str, float]:
        bleu = self._bleu(model, self.system.validation_decoding())
        return {"bleu": bleu} | self.system.examine(model, self.examined)

    def _bleu(self, model: PreTrainedModel, decoding: Any) -> float:
        """Dev BLEU."""
        sample = self.references
        ids = translate_all(self.system, model, self.dev, decoding, self.trainer.max_tokens, len(sample))
        hypotheses = [decode_ids(self.tokenizer, sentence) for sentence in ids]
        return sacrebleu.corpus_bleu(hypotheses, [sample], tokenize="none", force=True).score

    def facts(self, model: PreTrainedModel, stream: StagedStream) -> dict[str, Any]:
        counts = [
            pairs.counts(too_long, self.trainer.max_tokens)
            for pairs, too_long in zip(self.pairs, stream.left_out, strict=True)
        ]
        stages = [asdict(stage) | count for stage, count in zip(self.stages, counts, strict=True)]
        figures = self.system.examine(model, self.examined)
        for warning in self.system.warnings(figures):
            logger.warning("%s: %s", self.files.out, warning)
        return {
            "description": {"direction": self.files.direction} | self.system.describe(model),
            "data": counts[-1] | ({"stages": stages} if len(stages) > 1 else {}),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "prepared": self.studied | self.prepared,
            "examined": figures,
            "chosen": self.system.choose(model, lambda decoding: self._bleu(model, decoding)),
        }
