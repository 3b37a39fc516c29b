"""A base from elsewhere: the tokenizer and the masked language model of a pre-trained model, in transformers' format.

The tokenizer comes first. It says in `vocabulary.json` which pieces of the source it kept, and the model's embeddings
are cut to the same.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from xlmd.data.tokenizer import FIRST_PIECE, MODEL_FILE, load_tokenizer, save_tokenizer
from xlmd.errors import UserError
from xlmd.files import atomic_folder, read_json, write_json
from xlmd.pretrained.e5s1 import PackedModel
from xlmd.pretrained.package import read_member
from xlmd.pretrained.registry import Source
from xlmd.pretrained.vocabulary import (
    cut,
    needed,
    read_unigram_model,
    segmented_otherwise,
    unigram_model,
    xlm_roberta_ids,
)
from xlmd.record import finish, start_record

logger = logging.getLogger(__name__)


def import_tokenizer(
    source: Source, out: str | Path, vocabulary: str | Path, texts: Sequence[str], others: Sequence[str] = ()
) -> None:
    """Write a pre-trained model's tokenizer to the folder `out`, and what it kept of the source's to `vocabulary`.

    texts: the training text, to which the vocabulary is cut; with none it stays whole. others: text of which the lines
    that are segmented otherwise after the cut are counted, as the dev and test sets. vocabulary (JSON): "source",
    "pieces" and "kept" (how many ids before and after), "ids" (the source's ids of those kept, null: all) and "lines"
    ({text: {"lines", "otherwise"}}). Raises UserError if the source cannot be read, is in another layout than XLM-R's,
    or has other pieces than the registry says, and if a line of the training text would be segmented otherwise.
    """
    whole = _unigram_model(source)
    before = len(xlm_roberta_ids(range(len(whole.pieces)), len(whole.pieces)))
    if source.pieces not in (None, before):
        raise UserError(f"the tokenizer of {source.name} has {before:,} pieces, not the {source.pieces:,} expected")
    if not texts:
        save_tokenizer(whole, out)
        write_json(vocabulary, {"source": source.name, "pieces": before, "kept": before, "ids": None, "lines": {}})
        return
    kept = needed(whole, texts)
    lines = {}
    for text in [*texts, *others]:
        count, otherwise = segmented_otherwise(whole, kept, text)
        lines[str(text)] = {"lines": count, "otherwise": otherwise}
        if otherwise and text in texts:
            raise UserError(f"{otherwise} of {count} lines of {text} would be segmented otherwise after the cut")
    ids = xlm_roberta_ids(kept, len(whole.pieces))
    save_tokenizer(cut(whole, kept), out)
    facts = {"source": source.name, "pieces": before, "kept": len(ids), "ids": ids.tolist(), "lines": lines}
    write_json(vocabulary, facts)
    logger.info("%s: %d of %d pieces kept", source.name, len(ids), before)
    for text, found in lines.items():
        logger.info("%s: %d of %d lines segmented otherwise", text, found["otherwise"], found["lines"])


def import_model(
    source: Source, tokenizer: str | Path, vocabulary: str | Path, out: str | Path, layers: int | None, seed: int
) -> None:
    """Write a pre-trained masked language model to the folder `out`/model, and its record to `out`/run.json.

    tokenizer, vocabulary: as `import_tokenizer` wrote them. layers: how many, the first ones; None: all. seed: of the
    language model's head where the source has none. Raises UserError if the source cannot be read or does not fit.
    """
    from xlmd.pretrained.weights import from_packed, from_transformers, masked_language_model

    out, facts = Path(out), read_json(vocabulary)
    record = start_record(
        {"source": asdict(source), "layers": layers, "tokenizer": str(tokenizer)},
        [*source.files, tokenizer, vocabulary],
        seed=seed,
    )
    ids = np.arange(facts["pieces"]) if facts["ids"] is None else np.array(facts["ids"], dtype=np.int64)
    found = len(load_tokenizer(tokenizer))
    if found != len(ids):
        raise UserError(f"{tokenizer} has {found:,} pieces, but {vocabulary} keeps {len(ids):,}")
    if source.member:
        packed = _packed(source)
        weights = from_packed(packed, layers or packed.shape.layers)
    else:
        weights = from_transformers(source.on_hub_or_disk, source.revision)
    rows = len(weights.tensors["roberta.embeddings.word_embeddings.weight"])
    if source.pieces is None and rows != facts["pieces"]:
        raise UserError(
            f"the tokenizer does not fit {source.name}: it has {facts['pieces']:,} pieces, the model {rows:,} embeddings"
        )
    model = masked_language_model(weights, ids, layers, seed)
    if not weights.has_head:
        logger.warning(
            "%s has no language model's head: its dense layer is made of random numbers, its bias of zeros", source.name
        )
    with atomic_folder(out / "model") as folder:
        model.save_pretrained(folder)
    finish(
        record,
        out / "run.json",
        description={
            "model": source.name,
            "licence": source.licence,
            "layers": model.config.num_hidden_layers,
            "of_layers": weights.shape["num_hidden_layers"],
            "head": "its own" if weights.has_head else "made: random dense layer, no bias",
            "weights": "Q4_0 (4 bits)" if source.member else "as published",
            "vocabulary": {name: facts[name] for name in ("pieces", "kept", "lines")},
        },
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _packed(source: Source) -> PackedModel:
    return PackedModel(read_member(source.path, source.sha256, source.member), f"{source.path}, {source.member}")


def _unigram_model(source: Source) -> ModelProto:
    """The sentencepiece model of a source, as a whole."""
    if source.member:
        packed = _packed(source)
        ordinary = slice(FIRST_PIECE, -1)
        return unigram_model(packed.pieces[ordinary], packed.scores[ordinary])
    from transformers.utils import cached_file

    try:
        path = cached_file(source.on_hub_or_disk, MODEL_FILE, revision=source.revision)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read {MODEL_FILE} of {source.on_hub_or_disk}: {reason}") from error
    proto = read_unigram_model(path)
    if source.hub is None:
        there = len(load_tokenizer(source.path))
        if there != len(xlm_roberta_ids(range(len(proto.pieces)), len(proto.pieces))):
            raise UserError(f"{source.path} has {there:,} tokens; its {MODEL_FILE} and XLM-R's specials are fewer")
    return proto
