"""One trained point of the grid: a system trained on one data set, from files to files."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sacrebleu
import torch

from xlmd.data.batching import BatchStream, ParallelText, length_sorted_batches
from xlmd.data.encoded import EncodedText, decode_ids, encoded_paths
from xlmd.data.text import read_lines
from xlmd.data.tokenizer import load_tokenizer
from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.options import from_mapping, option, required
from xlmd.record import finish, start_record
from xlmd.systems import Decoded, System, find_system
from xlmd.train.loop import TrainerSettings, fit, gpu_name, make_accelerator

logger = logging.getLogger(__name__)


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
    code: str = option("", "version of the code: a checkpoint of another version is not continued")


def usable_pairs(system: System, source: EncodedText, target: EncodedText) -> tuple[np.ndarray, dict[str, int]]:
    """Numbers of the pairs that `system` can train on, (N,) int64, and how many were left out for which reason.

    Raises UserError if none is left or the two sides differ in number.
    """
    if len(source) != len(target):
        raise UserError(f"{source.prefix} has {len(source)} sentences but {target.prefix} has {len(target)}")
    lengths = [torch.as_tensor(np.asarray(side.lengths, dtype=np.int64)) for side in (source, target)]
    reasons = {"empty side": (lengths[0] == 0) | (lengths[1] == 0)}
    reasons |= system.usable(*lengths, torch.as_tensor(target.adjacent_repeats().astype(np.int64)))
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


def translate_all(
    system: System,
    model: torch.nn.Module,
    sources: EncodedText,
    decoding: Any,
    max_tokens: int,
    limit: int | None = None,
) -> Decoded:
    """Translate sentences 0..limit−1 in batches of similar length; results in the order of the file."""
    count = min(len(sources), limit or len(sources))
    batches = length_sorted_batches(sources.lengths[:count], max_tokens)
    decoded = [
        system.decode_batch(model, [sources[int(index)].tolist() for index in indices], decoding) for indices in batches
    ]
    return Decoded.joined(decoded, batches)


def train(system_name: str, system_settings: Any, trainer: TrainerSettings, files: TrainFiles) -> None:
    """Train one system and write its run folder: model/, curves.csv, run.json.

    run.json holds what a reader needs to repeat or audit the run: settings, data hashes, counts of pairs left out,
    versions, times. Raises UserError on settings or files that do not fit.
    """
    out = Path(files.out)
    tokenizer = load_tokenizer(files.tokenizer)
    system = find_system(system_name)(system_settings, tokenizer)
    source, target, dev = (EncodedText(prefix) for prefix in (files.source, files.target, files.dev_source))
    references = read_lines(files.dev_reference)
    if len(references) != len(dev):
        raise UserError(
            f"{files.dev_reference} has {len(references)} lines but {files.dev_source} {len(dev)} sentences"
        )
    kept, dropped = usable_pairs(system, source, target)
    prefixes = files.source, files.target, files.dev_source
    inputs = [*(path for prefix in prefixes for path in encoded_paths(prefix)), files.dev_reference]
    named = [files.tokenizer, *(getattr(system_settings, name) for name in system.pretrained)]
    inputs += [path for path in named if Path(path).is_dir()]  # a hub's name stands for itself
    settings = {"system": system_name, "settings": asdict(system_settings), "trainer": asdict(trainer)}
    accelerator = make_accelerator(trainer)
    record = start_record(
        settings | {"files": asdict(files)},
        inputs,
        seed=trainer.seed,
        threads=trainer.threads,
        gpu=gpu_name(accelerator),
    )
    model = system.build()
    stream = BatchStream(
        ParallelText(source, target, keep=kept),
        max_tokens=trainer.max_tokens,
        pad=tokenizer.pad_token_id,
        seed=trainer.seed,
        curriculum=trainer.curriculum,
        processes=trainer.processes,
        rank=accelerator.process_index,
    )
    longer = {f"longer than a batch of {trainer.max_tokens} tokens": stream.left_out}
    decoding = system.validation_decoding()
    sample = references[: trainer.validation_sentences]

    def validate(model: torch.nn.Module) -> dict[str, float]:
        decoded = translate_all(system, model, dev, decoding, trainer.max_tokens, len(sample))
        hypotheses = [decode_ids(tokenizer, sentence) for sentence in decoded.ids]
        return {"bleu": sacrebleu.corpus_bleu(hypotheses, [sample], tokenize="none", force=True).score}

    def finished(result: dict[str, Any]) -> None:
        finish(
            record,
            out / "run.json",
            description={"system": system_name, "direction": files.direction} | system.describe(model),
            data={"pairs": len(source), "used": len(kept) - stream.left_out, "left_out": dropped | longer},
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            result=result,
        )

    fit(
        model,
        system.loss,
        stream,
        trainer,
        out,
        accelerator=accelerator,
        validate=validate,
        identity={"settings": asdict(system_settings), "inputs": record["inputs"], "code": files.code},
        description=f"{system_name} {out.parent.name}/{out.name}",
        finish=finished,
    )


def load_run(folder: str | Path, tokenizer: str | Path, device: str | torch.device) -> tuple[System, torch.nn.Module]:
    """The system and the trained model of a run folder, ready to translate."""
    settings = read_json(Path(folder) / "run.json")["settings"]
    cls = find_system(settings["system"])
    system = cls(from_mapping(cls.Settings, settings["settings"]), load_tokenizer(tokenizer))
    return system, system.load(Path(folder) / "model").to(device).eval()
