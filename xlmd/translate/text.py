"""From raw text to natural text."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from xlmd.data.preparation import preparation_of
from xlmd.data.preprocess import Tokenization
from xlmd.data.romanian import Letters
from xlmd.data.tokenizer import decode_ids, subword_encoder
from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.translate.decodings import chosen_options
from xlmd.translate.engines import best_engine, load_engine
from xlmd.translate.load import RunTranslator
from xlmd.translate.sentences import pieces

_BATCHES_AT_ONCE = 32  # sorted by length together


def translate_text(lines: Iterable[str], *, run: str, **options: Any) -> list[str]:
    """Translate raw text to natural text, line by line; `options` are those of `TextTranslator`."""
    return list(TextTranslator(run, **options)(lines))


class TextTranslator:
    """A trained run that translates raw text.

    run: its folder. tokenizer: by default the run's own. decoding: options of the system's decoding that differ from
    those chosen when the run's training ended, or the defaults. device: "auto" (the GPU if there is one), "cpu",
    "cuda", "cuda:1". engine: of `xlmd.translate.engines.ENGINES`, or "auto". tokenize, romanian: how the run's corpora
    were prepared, if not as the run recorded. batch: sentences translated at once. threads: cores to use; None: as
    many as torch and ONNX Runtime take. Raises UserError if there is no such run, tokenizer or device, or the engine
    does not run it.
    """

    def __init__(
        self,
        run: str,
        *,
        tokenizer: str | None = None,
        decoding: dict[str, Any] | None = None,
        device: str = "auto",
        engine: str = "auto",
        tokenize: Tokenization | None = None,
        romanian: Letters | None = None,
        batch: int = 16,
        threads: int | None = None,
    ) -> None:
        if batch < 1 or (threads is not None and threads < 1):
            raise UserError(f"batch = {batch}, threads = {threads}: both must be at least 1")
        if threads:
            torch.set_num_threads(threads)
        self._preparation = preparation_of(run)
        self._preparation.tokenize = tokenize or self._preparation.tokenize
        self._preparation.romanian = romanian or self._preparation.romanian
        tokenizer = tokenizer or tokenizer_of(run)
        engine = best_engine(run, device) if engine == "auto" else engine
        self._system, model = load_engine(run, tokenizer, device, engine, threads)
        self._translator = RunTranslator(self._system, model, chosen_options(run) | (decoding or {}))
        self._longest = self._system.longest_source(model)
        self._encode = subword_encoder(tokenizer)
        self._batch = batch

    def __call__(self, lines: Iterable[str]) -> Iterator[str]:
        """A translation for each line, in their order; an empty one for a line without text.

        A line that is too long for the model is translated in pieces, its sentences if these are short enough.
        """
        lines = iter(lines)
        while together := list(islice(lines, self._batch * _BATCHES_AT_ONCE)):
            yield from self._translated(together)

    def _translated(self, lines: list[str]) -> list[str]:
        numbered = [(number, ids) for number, line in enumerate(self._encoded(lines)) for ids in line]
        by_length = sorted(range(len(numbered)), key=lambda index: len(numbered[index][1]))
        texts = [""] * len(numbered)
        for start in range(0, len(by_length), self._batch):
            chosen = by_length[start : start + self._batch]
            translations = self._translator.translate([numbered[index][1] for index in chosen])
            for index, ids in zip(chosen, translations, strict=True):
                texts[index] = decode_ids(self._system.tokenizer, ids)
        joined: list[list[str]] = [[] for _ in lines]
        for (number, _), text in zip(numbered, texts, strict=True):
            joined[number].append(text)
        return self._preparation.restore(" ".join(parts) for parts in joined)

    def _encoded(self, lines: list[str]) -> list[list[list[int]]]:
        """The subword ids of each line's pieces."""
        whole = self._subwords(lines)
        return [
            [ids] if ids and len(ids) <= self._longest else self._subwords(pieces(line, self._fits)) if ids else []
            for line, ids in zip(lines, whole, strict=True)
        ]

    def _subwords(self, lines: list[str]) -> list[list[int]]:
        return self._encode(self._preparation.prepare(lines))

    def _fits(self, text: str) -> bool:
        return len(self._subwords([text])[0]) <= self._longest


def tokenizer_of(run: str | Path) -> str:
    """A run's tokenizer: its own, or of a run of before training put it there the one that it was trained with."""
    own = Path(run) / "tokenizer"
    return str(own) if own.is_dir() else read_json(Path(run) / "run.json")["settings"]["files"]["tokenizer"]
