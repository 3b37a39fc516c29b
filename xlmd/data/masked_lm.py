"""Batches for cross-lingual masked pre-training: monolingual sentences, and translations side by side.

The objective is that of XLM (Conneau and Lample, 2019), in the layout and position convention of XLM-R.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from transformers import BatchEncoding, PreTrainedTokenizerBase

from xlmd.data.batching import LengthBatches, shortest_first
from xlmd.data.encoded import EncodedText
from xlmd.data.tokenizer import BOS, EOS, FIRST_PIECE, PAD
from xlmd.errors import UserError

IGNORED_LABEL = -100

_SINGLE_SPECIALS = 2  # <s> a </s>
_PAIR_SPECIALS = 4  # <s> a </s> </s> b </s>


class MaskedLanguageModelStream:
    """Endless batches for masked pre-training on line-parallel texts; the whole order follows from the seed alone.

    texts: {language: encoded text}, line i of each meaning the same. translation_fraction: the share of batches that
    hold lines in two languages drawn at random, `<s> a </s> </s> b </s>`, the positions of the second restarting
    (the translation language model); the others hold one language, `<s> a </s>`. masked: the share of subwords
    to be predicted, at least one a row, of which `mask_share` become `<mask>`, `random_share` a random piece, and the
    rest stay. max_tokens: the most that a batch measures, padding and specials included. Lines that have no words,
    exceed a batch or exceed `max_positions` are left out. lines: use only those from the first up to, without, the
    second. curriculum, processes, rank: as for `BatchStream`.

    Yields (B, L) int64 tensors by name: input_ids; attention_mask; position_ids (from 2 on, padding 1, as in XLM-R);
    labels (−100 where nothing is to be predicted); and the lines' numbers in their files, indices, (B,). Raises
    UserError if texts differ in length or none is usable.
    """

    def __init__(
        self,
        texts: Mapping[str, EncodedText],
        tokenizer: PreTrainedTokenizerBase,
        max_tokens: int,
        seed: int,
        translation_fraction: float = 0.7,
        masked: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        max_positions: int = 512,
        lines: tuple[int, int] | None = None,
        curriculum: float = 0.0,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        self._texts = [texts[language] for language in sorted(texts)]
        self.source = " and ".join(str(text.prefix) for text in self._texts)
        if not self._texts:
            raise ValueError("texts: expected at least one language")
        if not 0 <= rank < processes:
            raise ValueError(f"rank: expected 0 to {processes - 1}, got {rank}")
        for text in self._texts[1:]:
            if len(text) != len(self._texts[0]):
                raise UserError(
                    f"{self._texts[0].prefix} has {len(self._texts[0])} sentences but {text.prefix} has {len(text)}: "
                    "line-parallel text needs one line for each line"
                )
        self._first_line, last_line = lines or (0, len(self._texts[0]))
        self._lengths = np.stack([text.lengths[self._first_line : last_line] for text in self._texts])
        self._max_tokens, self._max_positions, self._seed = max_tokens, max_positions, seed
        self._mask, self._mask_probability = tokenizer.mask_token_id, masked
        self._mask_share, self._random_share = mask_share, random_share
        self._translation_fraction = translation_fraction if len(self._texts) > 1 else 0.0
        self._processes, self._rank = processes, rank
        self._step, self._curriculum = 0, curriculum
        self._single = LengthBatches(self._single_pool, max_tokens, seed)
        self._pair = LengthBatches(self._pair_pool, max_tokens, seed) if self._translation_fraction > 0 else None

    def __iter__(self) -> Iterator[BatchEncoding]:
        return self

    def __next__(self) -> BatchEncoding:
        group = [self._draw() for _ in range(self._processes)]
        return self._collate(*group[self._rank])

    def set_progress(self, fraction: float) -> None:
        """Say what fraction of training is done, in [0, 1]; the curriculum heeds it when the next epoch starts."""
        for batches in filter(None, (self._single, self._pair)):
            batches.progress = float(fraction)

    def state_dict(self) -> dict:
        """Where the stream stands, in plain numbers; the same in every process."""
        state = {"step": self._step, "single": self._single.state_dict()}
        return state | ({"pair": self._pair.state_dict()} if self._pair else {})

    def load_state_dict(self, state: dict) -> None:
        """Go on exactly after the batch at which `state_dict` was called, on the same texts and settings."""
        self._step = state["step"]
        self._single.load_state_dict(state["single"])
        if self._pair:
            self._pair.load_state_dict(state["pair"])

    def _draw(self) -> tuple[np.ndarray, list[np.ndarray], np.random.Generator]:
        """The next batch's lines, the one or two languages of each, and the batch's own source of randomness."""
        random = np.random.default_rng([self._seed, self._step])
        self._step += 1
        if random.random() < self._translation_fraction and self._pair is not None:
            lines = next(self._pair)
            return lines, [self._first[lines], self._second[lines]], random
        lines = next(self._single)
        return lines, [self._language[lines]], random

    def _single_pool(self, epoch: int, progress: float) -> tuple[np.ndarray, np.ndarray]:
        self._language = np.random.default_rng([self._seed, epoch, 1]).integers(len(self._texts), size=self._line_count)
        words = self._lengths[self._language, np.arange(self._line_count)]
        return self._usable(words > 0, words, words + _SINGLE_SPECIALS, progress)

    def _pair_pool(self, epoch: int, progress: float) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng([self._seed, epoch, 2])
        self._first = random.integers(len(self._texts), size=self._line_count)
        self._second = (self._first + random.integers(1, len(self._texts), size=self._line_count)) % len(self._texts)
        first, second = (self._lengths[which, np.arange(self._line_count)] for which in (self._first, self._second))
        size = first + second + _PAIR_SPECIALS
        return self._usable(np.minimum(first, second) > 0, np.maximum(first, second), size, progress)

    @property
    def _line_count(self) -> int:
        return self._lengths.shape[1]

    def _usable(
        self, nonempty: np.ndarray, words: np.ndarray, size: np.ndarray, progress: float
    ) -> tuple[np.ndarray, np.ndarray]:
        fits = nonempty & (words + _SINGLE_SPECIALS <= self._max_positions) & (size <= self._max_tokens)
        if not fits.any():
            names = ", ".join(str(text.prefix) for text in self._texts)
            raise UserError(f"no line of {names} fits a batch of {self._max_tokens} tokens")
        return shortest_first(np.flatnonzero(fits), size[fits], progress, self._curriculum)

    def _collate(self, lines: np.ndarray, languages: list[np.ndarray], random: np.random.Generator) -> BatchEncoding:
        rows = [self._segments(line, row) for line, *row in zip(lines, *languages, strict=True)]
        shape = len(rows), max(sum(map(len, segments)) for segments in rows)
        ids, positions = np.full(shape, PAD, np.int64), np.full(shape, PAD, np.int64)
        for row, segments in enumerate(rows):
            start = 0
            for segment in segments:
                ids[row, start : start + len(segment)] = segment
                positions[row, start : start + len(segment)] = PAD + 1 + np.arange(len(segment))
                start += len(segment)
        masked, labels = self._masked(ids, random)
        batch = {
            "input_ids": masked,
            "attention_mask": positions != PAD,
            "position_ids": positions,
            "labels": labels,
            "indices": self._first_line + lines,
        }
        return BatchEncoding({name: torch.from_numpy(array.astype(np.int64)) for name, array in batch.items()})

    def _segments(self, line: int, languages: list[int]) -> list[np.ndarray]:
        openings = (BOS, EOS)
        return [
            np.concatenate(([opening], self._texts[language][self._first_line + line], [EOS]))
            for opening, language in zip(openings, languages, strict=False)
        ]

    def _masked(self, ids: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        draw = np.where((ids >= FIRST_PIECE) & (ids != self._mask), random.random(ids.shape), np.inf)
        lowest = draw.min(axis=1, keepdims=True)
        predicted = (draw < self._mask_probability) | ((draw == lowest) & np.isfinite(lowest))
        labels = np.where(predicted, ids, IGNORED_LABEL)
        fate = random.random(ids.shape)
        pieces = random.integers(FIRST_PIECE, self._mask, size=ids.shape)
        masked = np.where(predicted & (fate < self._mask_share), self._mask, ids)
        replaced = predicted & (fate >= self._mask_share) & (fate < self._mask_share + self._random_share)
        return np.where(replaced, pieces, masked), labels
