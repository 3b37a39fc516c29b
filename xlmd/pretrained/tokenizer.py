"""The tokenizer of a base from elsewhere, whole or cut, in transformers' format.

It comes before the model: `vocabulary.json` says which pieces of the source it kept, and the embeddings are cut to the
same.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from sentencepiece.sentencepiece_model_pb2 import ModelProto

from xlmd.data.tokenizer import FIRST_PIECE, MODEL_FILE, load_tokenizer, save_tokenizer
from xlmd.errors import UserError
from xlmd.files import write_json
from xlmd.pretrained.e5s1 import packed_model
from xlmd.pretrained.registry import Source
from xlmd.pretrained.vocabulary import (
    cut,
    needed,
    read_unigram_model,
    segmented_otherwise,
    unigram_model,
    xlm_roberta_ids,
)

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


def _unigram_model(source: Source) -> ModelProto:
    """The sentencepiece model of a source, as a whole."""
    if source.member:
        packed = packed_model(source)
        ordinary = slice(FIRST_PIECE, -1)
        return unigram_model(packed.pieces[ordinary], packed.scores[ordinary])
    from transformers.utils import cached_file

    try:
        path = cached_file(source.on_hub_or_disk, MODEL_FILE, revision=source.revision)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read {MODEL_FILE} of {source.on_hub_or_disk}: {reason}") from error
    if path is None:
        raise UserError(f"{source.on_hub_or_disk} has no {MODEL_FILE}")
    proto = read_unigram_model(path)
    if source.hub is None:
        there = len(load_tokenizer(source.on_hub_or_disk))
        if there != len(xlm_roberta_ids(range(len(proto.pieces)), len(proto.pieces))):
            raise UserError(f"{source.path} has {there:,} tokens; its {MODEL_FILE} and XLM-R's specials are fewer")
    return proto
