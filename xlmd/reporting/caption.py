"""Captions: what a reader must know to read a table of measured figures rightly."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from xlmd.grid import OURS
from xlmd.reporting.results import PAPER_LAYERS, Result, paper_depth


def caption(
    scale: dict[str, str],
    results: Sequence[Result],
    timings: dict[str, Any],
    corpora: list[dict[str, Any]],
    metrics: Iterable[str] = ("bleu",),
) -> list[str]:
    """Notes on scale, corpora, what M means, BLEU signatures, latency protocol, hardware and seeds.

    timings: a table's latency file, or {} where it shows no speed. corpora: of each `corpus`, `pair` and `split` what
    cleaning counted. metrics: the scores shown ("bleu", "sacrebleu").
    """
    seeds = sorted({result.record["seed"] for result in results})
    return [
        _scale(scale),
        *_corpora(corpora),
        *_depth(results),
        *(_bleu(results, metrics) if results else []),
        *(_latency(timings) if timings.get("cells") else []),
        f"Seeds: {', '.join(map(str, seeds))}{'' if len(seeds) < 2 else ' (mean ± standard deviation over them)'}.",
    ]


def _scale(scale: dict[str, str]) -> str:
    return (
        f"Scale: **{scale['name']}**. {scale['description']}. Columns named *paper* quote the paper's figures at its "
        "own scale; unless this scale is the paper's, measured figures cannot be compared with them in absolute value."
    )


def _corpora(splits: list[dict[str, Any]]) -> list[str]:
    sizes = defaultdict(list)
    for split in splits:
        sizes[split["corpus"], split["pair"]].append(f"{split['split']} {split['kept']:,}")
    return [
        f"Corpus of {pair}: {corpus}; sentence pairs: {', '.join(found)}." for (corpus, pair), found in sizes.items()
    ]


def _depth(results: Sequence[Result]) -> list[str]:
    depths = {(r.settings["M"], r.settings["layers"]) for r in results if r.point.system == OURS}
    if not depths:
        return []
    pairs = ", ".join(f"M={paper_depth(m, layers)} is M={m} of {layers}" for m, layers in sorted(depths))
    return [
        "M counts the layers below the decorator, which run once a sentence. *System* gives it as of the paper's "
        f"{PAPER_LAYERS} layers, *Measured as* at the same fraction of the depth measured here: {pairs}."
    ]


def _bleu(results: Sequence[Result], metrics: Iterable[str]) -> list[str]:
    names = {
        "bleu": "BLEU: case-sensitive, of Moses tokens, by sacreBLEU",
        "sacrebleu": "sacreBLEU of detokenised text",
    }
    notes = []
    for metric in metrics:
        signatures = (f"`{result.score[metric]['signature']}`" for result in results)
        notes.append(f"{names[metric]}: {_listed(signatures)}.")
    copies = {r.point.direction: r.score["copy_bleu"] for r in results if r.score["copy_bleu"]}
    if copies:
        listed = ", ".join(f"{direction} {score['score']:.2f}" for direction, score in copies.items())
        notes.append(f"BLEU of the source copied unchanged: {listed}.")
    return notes


def _latency(timings: dict[str, Any]) -> list[str]:
    hardware = timings["hardware"]
    return [
        f"Speed-up: mean latency of the Transformer in transformers over that of the system, on the "
        f"{timings['direction']} test set, one sentence at a time ({timings['sentences']} sentences in "
        f"{timings['runs']} runs after {timings['warmup_sentences']} warm-up sentences), in one job that goes "
        "through the systems in turn, run by run, subword ids in and out: no tokenisation.",
        f"Hardware of the timings: {hardware.get('gpu') or hardware.get('cpu') or 'unknown'}, "
        f"{hardware.get('threads') or 'unknown'} threads.",
    ]


def _listed(texts: Iterable[str]) -> str:
    """The different texts, in order."""
    return ", ".join(dict.fromkeys(texts))
