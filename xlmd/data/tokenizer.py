"""Sentencepiece tokenizers in the layout of XLM-R: `<s> <pad> </s> <unk> pieces… <mask>`.

Sentencepiece itself puts `<unk> <s> </s>` first, so its piece number p has the id p + 1 here, as in `xlm-roberta-base`.
"""

import functools
import io
import logging
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from xlmd.data.text import stream_lines
from xlmd.errors import UserError
from xlmd.files import atomic_folder, read_json

if TYPE_CHECKING:  # loading transformers takes longer than encoding a small corpus with sentencepiece
    from transformers import PreTrainedTokenizerBase, XLMRobertaTokenizer

logger = logging.getLogger(__name__)

BOS, PAD, EOS, UNK = 0, 1, 2, 3
FIRST_PIECE = 4
MODEL_FILE = "sentencepiece.bpe.model"  # XLM-R's name for it, though the model is a unigram one

_OFFSET = 1
_SENTENCEPIECE_SPECIALS = 3
_SEED_WORDS, _SEED_PIECES, _LONGEST_PIECE = 200_000, 1_000_000, 16
_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_OURS_ALONE = 2  # <pad> and <mask>, which sentencepiece does not know


def train_tokenizer(
    inputs: Sequence[str | Path],
    vocabulary_size: int,
    out: str | Path,
    *,
    seed: int = 0,
    character_coverage: float = 0.9995,
    sentences: int = 5_000_000,
) -> None:
    """Train one unigram model on all `inputs` jointly and save it as an XLM-R tokenizer in the folder `out`.

    vocabulary_size: all ids, the five specials included. sentences: a sample of so many lines (drawn with `seed`)
    is trained on if the inputs have more. The same inputs and seed give the same bytes, whatever the paths.
    Raises UserError if the inputs hold no text, or if the vocabulary is too large or too small for them.
    """
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(seed)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as seeds:
        seeds.writelines(f"{piece}\t{count}\n" for piece, count in _seed_pieces(inputs))
        seeds.flush()
        _train(inputs, model, vocabulary_size, character_coverage, sentences, seeds.name)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    proto.trainer_spec.seed_sentencepieces_file = ""  # a temporary path, that would make every model another one
    save_tokenizer(proto, out)


def save_tokenizer(proto: sentencepiece_model_pb2.ModelProto, out: str | Path) -> None:
    """Save a unigram model, `<unk> <s> </s> pieces…`, as an XLM-R tokenizer in the folder `out`."""
    with atomic_folder(out) as folder:
        _as_xlm_roberta(proto).save_pretrained(folder)
        (folder / MODEL_FILE).write_bytes(proto.SerializeToString(deterministic=True))
        load_tokenizer(folder)


def load_tokenizer(name_or_folder: str | Path) -> "PreTrainedTokenizerBase":
    """An XLM-R-like tokenizer by hub name or local folder.

    Raises UserError if it cannot be found (offline too) or if its special tokens have other ids than XLM-R's.
    """
    from transformers import AutoTokenizer

    is_path = Path(name_or_folder).is_absolute() or len(Path(name_or_folder).parts) > 2
    if is_path and not Path(name_or_folder).is_dir():
        raise UserError(f"no tokenizer in {name_or_folder}: there is no such folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_folder)
    except (OSError, ValueError, KeyError) as error:
        where = f"a folder with {MODEL_FILE} and tokenizer.json, or a hub name that is cached or reachable"
        raise UserError(f"cannot load the tokenizer {str(name_or_folder)!r}: expected {where} ({error})") from error
    found = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
    if found != (BOS, PAD, EOS, UNK) or tokenizer.mask_token_id != len(tokenizer) - 1:
        raise UserError(
            f"the tokenizer {str(name_or_folder)!r} is not in XLM-R's layout: expected <s>, <pad>, </s>, <unk>, <mask>"
            f" at 0, 1, 2, 3 and last ({len(tokenizer) - 1}), found at {found} and {tokenizer.mask_token_id}"
        )
    return tokenizer


def subword_encoder(name_or_folder: str | Path) -> Callable[[list[str]], list[list[int]]]:
    """A function from sentences to their bare subword ids (no specials are added, and none can be smuggled in).

    It runs sentencepiece, an order of magnitude faster than the `transformers` tokenizer and equal to it, except that
    a sentence that spells `</s>` or `<mask>` gets ordinary pieces. Raises UserError as `load_tokenizer`.
    """
    local, described = Path(name_or_folder) / MODEL_FILE, Path(name_or_folder) / "tokenizer.json"
    if local.is_file() and described.is_file():
        return _pieces(local, len(read_json(described)["model"]["vocab"]))
    tokenizer, path = load_tokenizer(name_or_folder), _sentencepiece_model(name_or_folder)
    if path is None:
        logger.info("%s has no %s: encoding with transformers, which is slower", name_or_folder, MODEL_FILE)
        return functools.partial(_encode_slowly, tokenizer)
    return _pieces(path, len(tokenizer))


def copy_tokenizer(name_or_folder: str | Path, out: str | Path) -> None:
    """Save a tokenizer in the folder `out`, as `train_tokenizer` would. Raises UserError as `load_tokenizer`."""
    tokenizer, path = load_tokenizer(name_or_folder), _sentencepiece_model(name_or_folder)
    with atomic_folder(out) as folder:
        tokenizer.save_pretrained(folder)
        if path is not None:
            shutil.copyfile(path, folder / MODEL_FILE)


def _sentencepiece_model(name_or_folder: str | Path) -> str | None:
    from transformers.utils import cached_file

    try:
        return cached_file(str(name_or_folder), MODEL_FILE, _raise_exceptions_for_missing_entries=False)
    except OSError:
        return None


def _pieces(path: str | Path, vocabulary_size: int) -> Callable[[list[str]], list[list[int]]]:
    """Sentencepiece's encoder with XLM-R's ids."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    if len(model) + _OURS_ALONE != vocabulary_size:
        raise UserError(f"{path} has {len(model)} pieces, its tokenizer {vocabulary_size}: expected two fewer")
    return lambda sentences: [[i + _OFFSET if i else UNK for i in ids] for ids in model.encode(sentences)]


def decode_ids(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """The text of a sentence of subword ids; special tokens, unknown ones too, and lone spaces leave no trace."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)  # of one sentence
    return " ".join(text.split())


def _encode_slowly(tokenizer: "PreTrainedTokenizerBase", sentences: list[str]) -> list[list[int]]:
    specials = {BOS, PAD, EOS, tokenizer.mask_token_id}
    encoded = tokenizer(sentences, add_special_tokens=False, split_special_tokens=True).input_ids
    return [[UNK if i in specials else i for i in ids] for ids in encoded]


def _train(
    inputs: Sequence[str | Path],
    model: io.BytesIO,
    vocabulary_size: int,
    character_coverage: float,
    sentences: int,
    seeds: str,
) -> None:
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_text(inputs),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocabulary_size - _OURS_ALONE,
            character_coverage=character_coverage,
            input_sentence_size=sentences,
            num_threads=1,  # another number of threads sums in another order and yields another model
            seed_sentencepieces_file=seeds,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _readable(error, inputs, vocabulary_size) from error


def _seed_pieces(inputs: Sequence[str | Path]) -> list[tuple[str, int]]:
    """The substrings of words that the unigram model is pruned from, with their counts.

    Sentencepiece itself takes only those that stand in two different words, which leaves most of a small corpus's words
    out however often they occur: its best piece a word is 1.7 on the phrasebook, 1.2 with these.
    """
    words = Counter(word for line in _text(inputs) for word in line.split())
    pieces: Counter[str] = Counter()
    for word, count in words.most_common(_SEED_WORDS):
        word = "\u2581" + word
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + _LONGEST_PIECE) + 1):
                pieces[word[start:end]] += count
    for special in _SPECIALS:  # text that spells one must not make it an ordinary piece
        pieces.pop(special, None)
    frequent = [(piece, count) for piece, count in pieces.items() if count > 1 or len(piece) == 1]
    return sorted(frequent, key=lambda entry: (-entry[1] * len(entry[0]), entry[0]))[:_SEED_PIECES]


def _text(inputs: Sequence[str | Path]) -> Iterator[str]:
    for path in inputs:
        yield from stream_lines(path)


def _readable(error: RuntimeError, inputs: Sequence[str | Path], vocabulary_size: int) -> UserError:
    """Sentencepiece's complaint in the user's terms and in ids that include our own two."""
    names = ", ".join(str(path) for path in inputs)
    largest = re.search(r"too high.*<= (\d+)", str(error), re.DOTALL)
    if largest:
        most = int(largest[1]) + _OURS_ALONE
        return UserError(f"vocabulary size {vocabulary_size} is too large for {names}: at most {most} is possible")
    characters = re.search(r"smaller than required_chars.*?(\d+) vs (\d+)", str(error), re.DOTALL)
    if characters:
        least = int(characters[2]) + _OURS_ALONE
        return UserError(f"vocabulary size {vocabulary_size} is too small for {names}: at least {least} is needed")
    return UserError(f"cannot train a tokenizer on {names}: {error}")


def _as_xlm_roberta(proto: sentencepiece_model_pb2.ModelProto) -> "XLMRobertaTokenizer":
    from transformers import XLMRobertaTokenizer

    pieces = [(piece.piece, piece.score) for piece in proto.pieces[_SENTENCEPIECE_SPECIALS:]]
    vocabulary = [(special, 0.0) for special in _SPECIALS]
    return XLMRobertaTokenizer(
        vocab=[*vocabulary[:-1], *pieces, vocabulary[-1]],
        _spm_precompiled_charsmap=proto.normalizer_spec.precompiled_charsmap,
        model_max_length=512,
    )
