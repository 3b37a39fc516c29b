"""The vocabulary of a pre-trained model, and its cut to what a text needs.

A multilingual model has pieces for a hundred languages; a translation between two uses a twentieth of them, and yet the
output layer scores them all at every position. The cut keeps every piece that the text's segmentation uses, every
single character of those, and the special tokens. A unigram segmentation is the best path through the pieces that
match: where all pieces of a line's best path stay it stays the best one, so that the text is segmented as before.
`segmented_otherwise` counts the lines of which that is not so.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from xlmd.data.text import stream_lines
from xlmd.data.tokenizer import EOS, FIRST_PIECE, PAD, UNK
from xlmd.errors import UserError

_Piece: Any = ModelProto.SentencePiece
_SPECIALS = {"<unk>": _Piece.UNKNOWN, "<s>": _Piece.CONTROL, "</s>": _Piece.CONTROL}
_OFFSET = FIRST_PIECE - len(_SPECIALS)  # between sentencepiece's numbers and XLM-R's ids
_LINES_AT_ONCE = 10_000
_NORMALISATION = "nmt_nfkc"  # XLM-R's


def unigram_model(pieces: Iterable[str], scores: Iterable[float]) -> ModelProto:
    """A sentencepiece model of these pieces, in the order of their numbers, after its three special ones.

    It normalises as XLM-R's, by the rule of that name in the sentencepiece that is installed: a few characters that
    are younger than XLM-R are treated otherwise than in its own model.
    """
    proto = sentencepiece_model_pb2.ModelProto()
    rules = sentencepiece.SentencePieceNormalizer(rule_name=_NORMALISATION).serialized_model_proto()
    proto.normalizer_spec.CopyFrom(ModelProto.FromString(rules).normalizer_spec)
    spec = proto.trainer_spec
    spec.model_type, spec.unk_id, spec.bos_id, spec.eos_id, spec.pad_id = spec.UNIGRAM, 0, 1, 2, -1
    for special, kind in _SPECIALS.items():
        proto.pieces.add(piece=special, score=0.0, type=kind)
    for piece, score in zip(pieces, scores, strict=True):
        proto.pieces.add(piece=piece, score=float(score), type=_Piece.NORMAL)
    spec.vocab_size = len(proto.pieces)
    return proto


def read_unigram_model(path: str | Path) -> ModelProto:
    """A sentencepiece model from a file. Raises UserError if it is none, or not a unigram model in XLM-R's order."""
    try:
        proto = ModelProto.FromString(Path(path).read_bytes())
        sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # protobuf and sentencepiece have errors of their own, of several kinds
        raise UserError(f"{path} is not a sentencepiece model") from error
    first = {piece.piece: piece.type for piece in proto.pieces[: len(_SPECIALS)]}
    if proto.trainer_spec.model_type != proto.trainer_spec.UNIGRAM or list(first) != list(_SPECIALS):
        raise UserError(f"{path} is not a unigram model that begins with {' '.join(_SPECIALS)}, as XLM-R's does")
    return proto


def needed(proto: ModelProto, texts: Iterable[str | Path]) -> list[int]:
    """Numbers, ascending, of the pieces that a cut to these texts keeps."""
    model = _processor(proto)
    used: set[int] = set()
    for lines in _batches(texts):
        used.update(itertools.chain.from_iterable(model.encode(lines)))
    normal = {number: piece for number, piece in enumerate(proto.pieces) if piece.type == _Piece.NORMAL}
    characters = set("".join(normal[number].piece for number in used if number in normal))
    kept = used | {number for number, piece in normal.items() if piece.piece in characters}
    # An unknown character costs a fixed amount more than the least probable piece: with another one at the end of the
    # list, lines that have such characters could be segmented otherwise.
    kept.add(min(normal, key=lambda number: normal[number].score))
    return sorted(kept | (set(range(len(proto.pieces))) - set(normal)))


def cut(proto: ModelProto, kept: Iterable[int]) -> ModelProto:
    """The model with the pieces of these numbers alone. Raises UserError if a special token is not among them."""
    kept = sorted(kept)
    lost = [piece.piece for number, piece in _specials(proto) if number not in set(kept)]
    if lost:
        raise UserError(f"the cut of the vocabulary would lose the special tokens {', '.join(lost)}")
    smaller = sentencepiece_model_pb2.ModelProto()
    smaller.CopyFrom(proto)
    del smaller.pieces[:]
    smaller.pieces.extend(proto.pieces[number] for number in kept)
    smaller.trainer_spec.vocab_size = len(kept)
    return smaller


def segmented_otherwise(whole: ModelProto, kept: Iterable[int], text: str | Path) -> tuple[int, int]:
    """How many lines a text has, and how many of them the model of the `kept` pieces segments otherwise than the whole.

    A piece that becomes unknown counts as another one.
    """
    numbers, lines, otherwise = sorted(kept), 0, 0
    first, second = _processor(whole), _processor(cut(whole, numbers))
    for batch in _batches([text]):
        pairs = zip(first.encode(batch), second.encode(batch), strict=True)
        lines += len(batch)
        otherwise += sum(ids != [numbers[number] for number in others] for ids, others in pairs)
    return lines, otherwise


def xlm_roberta_ids(numbers: Iterable[int], pieces: int) -> np.ndarray:
    """XLM-R's ids of sentencepiece's numbers, with `<pad>` and `<mask>`: int64, in the order of a cut model's own ids.

    pieces: of the whole model, whose `<mask>` comes after the last.
    """
    ordinary = [number + _OFFSET for number in numbers if number >= len(_SPECIALS)]
    return np.array([0, PAD, EOS, UNK, *ordinary, pieces + _OFFSET], dtype=np.int64)


def _specials(proto: ModelProto) -> Iterator[tuple[int, ModelProto.SentencePiece]]:
    return ((number, piece) for number, piece in enumerate(proto.pieces) if piece.type != _Piece.NORMAL)


def _processor(proto: ModelProto) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())


def _batches(texts: Iterable[str | Path]) -> Iterator[list[str]]:
    for text in texts:
        lines = stream_lines(text)
        while batch := list(itertools.islice(lines, _LINES_AT_ONCE)):
            yield batch
