"""Captions: what a reader must know to read a table of measured figures rightly."""

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from xlmd.reporting.results import PAPER_LAYERS, Index, Result, timed_on


def caption(index: Index) -> list[str]:
    """Notes on scale, corpora, what M means, BLEU signature, latency protocol, hardware and seeds."""
    scored = [result for result in index.results if result.score]
    timed = timed_on(index.results, index.latency_direction)
    seeds = ", ".join(map(str, index.seeds)) + ("" if len(index.seeds) == 1 else " (means over them)")
    return [
        _scale(index),
        *_corpora(index.corpora),
        *_depth(index.results),
        *(_bleu(scored) if scored else []),
        *(_latency(timed, index.latency_direction) if timed else []),
        f"Seeds: {seeds}.",
    ]


def _scale(index: Index) -> str:
    name, description = index.scale.get("name", "unnamed"), index.scale.get("description", "")
    return (
        f"Scale: **{name}**. {description} Columns named *paper* quote the paper's figures at its own scale; unless "
        "this scale is the paper's, measured figures cannot be compared with them in absolute value."
    ).replace("  ", " ")


def _corpora(splits: list[dict[str, Any]]) -> list[str]:
    sizes = defaultdict(list)
    for split in splits:
        sizes[split["corpus"], split["pair"]].append(f"{split['split']} {split['kept']:,}")
    return [
        f"Corpus of {pair}: {corpus}; sentence pairs: {', '.join(found)}." for (corpus, pair), found in sizes.items()
    ]


def _depth(results: list[Result]) -> list[str]:
    depths = {(result.setting("M"), result.setting("layers")) for result in results if result.system == "xlmd"}
    if not depths:
        return []
    pairs = ", ".join(f"M={Fraction(m * PAPER_LAYERS, layers)} is M={m} of {layers}" for m, layers in sorted(depths))
    return [
        "M counts the layers below the decorator, which run once a sentence. *System* gives it as of the paper's "
        f"{PAPER_LAYERS} layers, *Measured as* at the same fraction of the depth measured here: {pairs}."
    ]


def _bleu(scored: list[Result]) -> list[str]:
    signatures = _listed(f"`{result.score['bleu']['signature']}`" for result in scored)
    notes = [f"BLEU: case-sensitive, of Moses tokens, by sacreBLEU: {signatures}."]
    copies = _listed(
        f"{result.direction} {result.score['copy_bleu']['score']:.2f}" for result in scored if result.score["copy_bleu"]
    )
    if copies:
        notes.append(f"BLEU of the source copied unchanged: {copies}.")
    return notes


def _latency(timed: list[Result], direction: str) -> list[str]:
    protocols = _listed(
        f"{result.latency['sentences']} sentences in {result.latency['runs']} runs after "
        f"{result.latency['warmup_sentences']} warm-up sentences"
        for result in timed
    )
    machines = _listed(_machine(result.latency.get("hardware") or {}) for result in timed)
    return [
        f"Speed-up: mean latency of the Transformer in transformers over that of the system, on the {direction} test "
        f"set, one sentence at a time ({protocols}), subword ids in and out: no tokenisation.",
        f"Hardware of the timings: {machines}.",
    ]


def _machine(hardware: dict[str, Any]) -> str:
    return f"{hardware.get('gpu') or hardware.get('cpu') or 'unknown'}, {hardware.get('threads') or 'unknown'} threads"


def _listed(texts: Iterable[str]) -> str:
    """The different texts, in order."""
    return ", ".join(dict.fromkeys(texts))
