"""BLEU in the variants that published NAT results use, each with sacreBLEU's signature (paper §3.1, "Datasets")."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.base import Metric

from xlmd.data.preprocess import Tokenization, detokenize
from xlmd.data.romanian import Letters, respelt, without_diacritics
from xlmd.data.text import read_lines
from xlmd.errors import UserError
from xlmd.files import write_json

# sacreBLEU's tokenizer for text of a language whose words 13a cannot find.
TOKENIZERS = {"ja": "ja-mecab", "ko": "ko-mecab", "zh": "zh", "km": "char", "lo": "char", "my": "char", "th": "char"}

# force: the text is tokenised on purpose, so sacreBLEU need not warn about it.
_MOSES = BLEU(tokenize="none", force=True)

# Table 7's ranges of reference lengths, each named by its shortest.
BUCKETS = (1, 10, 20, 30, 40)


def score(
    hypotheses: str | Path,
    references: str | Path,
    raw_references: str | Path,
    language: str,
    out: str | Path,
    sources: str | Path | None = None,
    *,
    tokenize: Tokenization = "moses",
    tokenizer: str | None = None,
    romanian: Letters = "comma",
) -> dict[str, Any]:
    """Score one decoded test set and write every variant of the score to `out` as JSON.

    hypotheses, references: Moses-tokenised text, one sentence a line. raw_references: the same references before
    tokenisation. language: of the target. sources: Moses-tokenised source text; if given, the BLEU of copying it is
    reported too. tokenize: how the text was tokenised ("none" for a corpus that was not). tokenizer: sacreBLEU's
    tokenizer for the detokenised score, by default chosen by language. romanian: how the corpora spell Romanian; the
    translations are scored so too.

    The result holds, in per cent, `bleu` (case-sensitive BLEU of the Moses tokens, the figure of the tables),
    `bleu_compound_split`, `sacrebleu` (detokenised text against raw references), `chrf`, `bleu_without_diacritics` (of
    Romanian; else null: published figures are of either kind), `copy_bleu` (or null),
    `buckets` (`bleu` and number of sentences of each range of reference lengths, named by its shortest), and `counts`.
    Raises UserError if the files' line counts differ, a file is empty or the tokenizer is not to be had.
    """
    hypothesis_lines, reference_lines, raw_lines = (
        [respelt(line, language, romanian) for line in read_lines(path)]
        for path in (hypotheses, references, raw_references)
    )
    _check_parallel(references, reference_lines, hypotheses, hypothesis_lines)
    _check_parallel(references, reference_lines, raw_references, raw_lines)
    source_lines = None
    if sources is not None:
        source_lines = read_lines(sources)
        _check_parallel(references, reference_lines, sources, source_lines)

    detokenized = detokenize(hypothesis_lines, language, tokenize)
    scores = {
        "language": language,
        "bleu": _moses_bleu(hypothesis_lines, reference_lines),
        "bleu_compound_split": _moses_bleu(
            [split_compounds(line) for line in hypothesis_lines], [split_compounds(line) for line in reference_lines]
        ),
        "sacrebleu": _summary(_detokenized_metric(language, tokenizer), detokenized, raw_lines),
        "chrf": _summary(CHRF(), detokenized, raw_lines),
        "bleu_without_diacritics": (
            _moses_bleu(*([without_diacritics(line) for line in side] for side in (hypothesis_lines, reference_lines)))
            if language == "ro"
            else None
        ),
        "copy_bleu": _moses_bleu(source_lines, reference_lines) if source_lines else None,
        "buckets": _buckets(hypothesis_lines, reference_lines),
        "counts": {
            "sentences": len(reference_lines),
            "hypothesis_tokens": sum(len(line.split()) for line in hypothesis_lines),
            "reference_tokens": sum(len(line.split()) for line in reference_lines),
            "empty_hypotheses": sum(not line.strip() for line in hypothesis_lines),
        },
    }
    write_json(out, scores)
    return scores


def sentence_counts(
    hypotheses: Sequence[str],
    references: Sequence[str],
    language: str,
    *,
    detokenized: bool,
    tokenize: Tokenization,
    romanian: Letters,
) -> np.ndarray:
    """What BLEU counts in each sentence, (sentences, counts) int64: `bleu_of` their sum is the score, which so can be
    resampled.

    hypotheses: Moses-tokenised. references: the same, for the `bleu` of `score`, or, if detokenized, raw text, for its
    `sacrebleu`. language, tokenize, romanian: as for `score`.
    """
    lines, expected = ([respelt(line, language, romanian) for line in side] for side in (hypotheses, references))
    metric = _detokenized_metric(language, None) if detokenized else _MOSES
    if detokenized:
        lines = detokenize(lines, language, tokenize)
    # sacreBLEU's own bootstrap resamples these too.
    return np.array(metric._extract_corpus_statistics(lines, [expected]), dtype=np.int64)


def bleu_of(counts: np.ndarray) -> float:
    """BLEU, in per cent, of the sum of `sentence_counts`."""
    return _MOSES._compute_score_from_stats(counts.tolist()).score


def split_compounds(line: str) -> str:
    """Tokenised text with hyphenated compounds split, as tensor2tensor's and fairseq's En-De scripts score it.

    ASCII rules for white space and no overlapping matches, as those scripts' byte-wise substitution has it: "a-b-c"
    is split once.
    """
    return re.sub(r"(\S)-(\S)", r"\1 ##AT##-##AT## \2", line, flags=re.ASCII)


def _buckets(hypotheses: list[str], references: list[str]) -> dict[str, Any]:
    """BLEU by the length of the reference in Moses tokens (Table 7)."""
    buckets = {}
    for low, lines in length_buckets(references).items():
        sides = ([side[line] for line in lines] for side in (hypotheses, references))
        figures = _moses_bleu(*sides) if lines else {"score": None}
        buckets[str(low)] = {"score": figures["score"], "sentences": len(lines)}
    return buckets


def length_buckets(references: list[str]) -> dict[int, list[int]]:
    """{shortest length of a range: numbers of the sentences whose reference has so many Moses tokens} (Table 7)."""
    lengths = [len(reference.split()) for reference in references]
    return {
        low: [number for number, length in enumerate(lengths) if low <= length < high]
        for low, high in zip(BUCKETS, [*BUCKETS[1:], math.inf], strict=True)
    }


def _check_parallel(reference: str | Path, expected: list[str], path: str | Path, lines: list[str]) -> None:
    if not expected:
        raise UserError(f"{reference} is empty: nothing to score against")
    if len(lines) != len(expected):
        raise UserError(f"{path} has {len(lines)} lines but {reference} has {len(expected)}; expected one each")


def _moses_bleu(hypotheses: list[str], references: list[str]) -> dict[str, Any]:
    return _summary(_MOSES, hypotheses, references)


def _detokenized_metric(language: str, tokenizer: str | None) -> BLEU:
    tokenizer = tokenizer or TOKENIZERS.get(language, BLEU.TOKENIZER_DEFAULT)
    if tokenizer not in BLEU.TOKENIZERS:
        raise UserError(f"unknown sacreBLEU tokenizer {tokenizer!r}; expected one of {', '.join(BLEU.TOKENIZERS)}")
    try:
        return BLEU(tokenize=tokenizer)
    except (RuntimeError, ImportError) as error:
        extra = tokenizer.removesuffix("-mecab")
        install = f"; pip install 'sacrebleu[{extra}]' brings it" if extra != tokenizer else ""
        raise UserError(f"sacreBLEU's tokenizer {tokenizer!r} for language {language!r}: {error}{install}") from error


def _summary(metric: Metric, hypotheses: list[str], references: list[str]) -> dict[str, Any]:
    result = metric.corpus_score(hypotheses, [references])
    summary = {"score": result.score, "signature": str(metric.get_signature())}
    if isinstance(metric, BLEU):
        summary |= {"precisions": result.precisions, "brevity_penalty": result.bp, "length_ratio": result.ratio}
    return summary
