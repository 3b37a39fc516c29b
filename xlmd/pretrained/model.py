"""The masked language model of a base from elsewhere: its first layers, and the embeddings of its tokenizer."""

import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np

from xlmd.data.tokenizer import load_tokenizer
from xlmd.errors import UserError
from xlmd.files import atomic_folder, read_json
from xlmd.pretrained.e5s1 import packed_model
from xlmd.pretrained.encoder import from_packed, from_transformers, masked_language_model
from xlmd.pretrained.registry import Source
from xlmd.record import finish, start_record

logger = logging.getLogger(__name__)


def import_model(
    source: Source, tokenizer: str | Path, vocabulary: str | Path, out: str | Path, layers: int | None, seed: int
) -> None:
    """Write a pre-trained masked language model to the folder `out`/model, and its record to `out`/run.json.

    tokenizer, vocabulary: as `import_tokenizer` wrote them. layers: how many, the first ones; None: all. seed: of the
    language model's head where the source has none. Raises UserError if the source cannot be read or does not fit.
    """
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
        packed = packed_model(source)
        weights = from_packed(packed, layers or packed.shape.layers)
    else:
        weights = from_transformers(source.on_hub_or_disk, source.revision)
    rows = len(weights.tensors["roberta.embeddings.word_embeddings.weight"])
    if facts["pieces"] != (source.pieces or rows):
        raise UserError(
            f"the tokenizer does not fit {source.name}:"
            f" it has {facts['pieces']:,} pieces, the model {source.pieces or rows:,}"
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
