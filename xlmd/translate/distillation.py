"""Sequence-level distillation (Kim and Rush, 2016): the teacher's translations replace the targets of the training set.

The teacher decodes the training sources with CTranslate2; pairs too long, too short or too unequal are left out, as
fairseq's recipe for non-autoregressive models does. Dev and test keep their real references.
"""

import hashlib
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from xlmd.data.encoded import EncodedText, encoded_writer
from xlmd.errors import UserError
from xlmd.files import atomic_write, file_sha256, read_json, write_json
from xlmd.progress import progress
from xlmd.systems.transformer import TransformerDecoding
from xlmd.translate.ctranslate import Translator

logger = logging.getLogger(__name__)


def distill(
    model_folder: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    beam: int = 4,
    length_penalty: float = 0.6,
    min_length: int = 1,
    max_length: int = 250,
    max_ratio: float = 3.0,
    threads: int = 1,
    device: str = "auto",
    shard_sentences: int = 1000,
    code: str = "",
) -> dict:
    """Translate the training sources with the teacher and write the pairs worth learning from.

    model_folder: the teacher's transformers folder. source: the prefix of the encoded training sources. out: a folder;
    gets `train.source.*` and `train.target.*`, encoded text, and `distillation.json` with the teacher, the settings and
    the counts (read, kept, left out by reason), which is also returned. min_length, max_length: of either side, bare;
    max_ratio: longer side over shorter. threads: batches decoded at once, one core each.

    Decodes in shards of `shard_sentences`, each kept in `out/.shards` as soon as it is done: a run that was killed
    continues where it stopped, unless the teacher, the sources, the search or `code`, its version, have changed.
    Raises UserError if the teacher or the sources cannot be read, or no pair is left.
    """
    text, out = EncodedText(source), Path(out)
    # A translation that runs on until it is stopped is then longer than the filters let pass.
    decoding = TransformerDecoding(beam, length_penalty, max_length_ratio=max_ratio)
    positions = read_json(Path(model_folder) / "config.json")["max_position_embeddings"]
    max_length = min(max_length, positions - 2)
    plan = asdict(decoding) | {
        "shard_sentences": shard_sentences,
        "sources": _digest(text.ids, text.offsets),
        "teacher": file_sha256(Path(model_folder) / "model.safetensors"),
        "code": code,
    }
    shards = _decode(model_folder, text, out / ".shards", decoding, plan, threads, device)

    lengths = np.concatenate([np.diff(_read_shard(path)["offsets"]) for path in shards] or [np.zeros(0, np.int64)])
    left_out = _left_out(text.lengths, lengths, min_length, max_length, max_ratio)
    keep = ~np.logical_or.reduce(list(left_out.values()))
    if not keep.any():
        raise UserError(f"{model_folder}: the teacher's translations of {text.prefix} leave no pair to train on")

    with encoded_writer(out / "train.source") as sources, encoded_writer(out / "train.target") as targets:
        for first, path in zip(range(0, len(text), shard_sentences), shards, strict=True):
            shard, last = _read_shard(path), min(first + shard_sentences, len(text))
            ids, offsets = text.part(first, last)
            sources.add(*_kept(ids, offsets, keep[first:last]))
            targets.add(*_kept(shard["ids"], shard["offsets"], keep[first:last]))
    report = {
        "teacher": str(model_folder),
        "teacher_sha256": plan["teacher"],
        "read": len(text),
        "kept": int(keep.sum()),
        "left_out": _first_reason_counts(left_out),
        "source_subwords": int(text.lengths[keep].sum()),
        "target_subwords": int(lengths[keep].sum()),
        "settings": asdict(decoding) | {"min_length": min_length, "max_length": max_length, "max_ratio": max_ratio},
    }
    write_json(out / "distillation.json", report)
    shutil.rmtree(out / ".shards")
    logger.info("distilled %d of %d pairs; left out: %s", report["kept"], report["read"], report["left_out"])
    return report


def _kept(ids: np.ndarray, offsets: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of sentences, flat, those that are kept: their ids, flat, and their lengths."""
    lengths = np.diff(offsets)
    return ids[np.repeat(keep, lengths)], lengths[keep]


def _read_shard(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as shard:
        return {name: shard[name] for name in ("ids", "offsets")}


def _decode(
    model_folder: str | Path,
    source: EncodedText,
    folder: Path,
    decoding: TransformerDecoding,
    plan: dict[str, Any],
    threads: int,
    device: str,
) -> list[Path]:
    """Files with the teacher's translations, shard by shard; what is there of the same plan is not made again."""
    size = plan["shard_sentences"]
    if folder.exists() and not ((folder / "plan.json").exists() and read_json(folder / "plan.json") == plan):
        shutil.rmtree(folder)
    write_json(folder / "plan.json", plan)

    paths = {first: folder / f"{first:09d}.npz" for first in range(0, len(source), size)}
    missing = [first for first, path in paths.items() if not path.exists()]
    if missing:
        translator = Translator(model_folder, decoding, device=device, inter_threads=threads)
        done = len(source) - sum(min(size, len(source) - first) for first in missing)
        with progress(total=len(source), initial=done, desc="distill", unit=" sentences") as bar:
            for first in missing:
                sentences = [source[index].tolist() for index in range(first, min(first + size, len(source)))]
                translations = translator.translate(sentences)
                with atomic_write(paths[first], "wb") as handle:
                    np.savez(
                        handle,
                        ids=np.array([token for ids in translations for token in ids], np.int32),
                        offsets=np.cumsum([0, *map(len, translations)], dtype=np.int64),
                    )
                bar.update(len(sentences))
    return list(paths.values())


def _left_out(
    source: np.ndarray, target: np.ndarray, min_length: int, max_length: int, max_ratio: float
) -> dict[str, np.ndarray]:
    shorter, longer = np.minimum(source, target), np.maximum(source, target)
    return {
        f"fewer than {min_length} subwords": shorter < min_length,
        f"more than {max_length} subwords": longer > max_length,
        f"length ratio above {max_ratio:g}": longer > max_ratio * shorter,
    }


def _first_reason_counts(left_out: dict[str, np.ndarray]) -> dict[str, int]:
    """How many pairs each reason leaves out; a pair counts once, under the first reason that holds."""
    counts: dict[str, int] = {}
    counted = np.asarray(False)
    for reason, mask in left_out.items():
        counts[reason] = int((mask & ~counted).sum())
        counted = mask | counted
    return counts


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
