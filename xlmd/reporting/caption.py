"""Captions: what a reader must know to read a table of measured figures rightly."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from xlmd.experiment.grid import OURS
from xlmd.experiment.tables import timed_together
from xlmd.reporting.results import Result


def caption(
    scale: dict[str, Any],
    results: Sequence[Result],
    timings: dict[str, Any],
    corpora: list[dict[str, Any]],
    metrics: dict[str, list[str]] | None = None,
) -> list[str]:
    """Notes on scale, corpora, training, what M means, BLEU signatures, latency protocol, hardware and seeds.

    timings: a table's latency file, or {} where it shows no speed. corpora: of each `corpus`, `pair` and `split` what
    cleaning counted. metrics: {score shown ("bleu", "sacrebleu"): directions}, by default BLEU in all.
    """
    metrics = metrics or {"bleu": list(dict.fromkeys(result.point.direction for result in results))}
    seeds = sorted({result.record["seed"] for result in results})
    return [
        _scale(scale),
        *_noise(scale),
        *_corpora(corpora),
        *_training(results),
        *_depth(results),
        *(_bleu(results, metrics) if results else []),
        *(_latency(timings) if timings.get("cells") else []),
        f"Seeds: {', '.join(map(str, seeds))}{'' if len(seeds) < 2 else ' (mean ± standard deviation over them)'}.",
    ]


def _noise(scale: dict[str, Any]) -> list[str]:
    if not scale.get("noise"):
        return []
    return [
        f"From seed to seed, and from one type of CPU to another, a cell moves by up to {scale['noise']:g} BLEU: a "
        "smaller difference between models that were trained apart is no finding."
    ]


def _scale(scale: dict[str, Any]) -> str:
    return (
        f"Scale: **{scale['name']}**. {scale['description']}. Columns named *paper* quote the paper's figures at its "
        "own scale; unless this scale is the paper's, measured figures cannot be compared with them in absolute value."
    )


def _corpora(splits: list[dict[str, Any]]) -> list[str]:
    sizes = defaultdict(list)
    for split in splits:
        sizes[split["corpus"], split["pair"]].append(f"{split['split']} {split['kept']:,}")
    return [
        f"Corpus {corpus}, {pair} in either direction; sentence pairs: {', '.join(found)}."
        for (corpus, pair), found in sizes.items()
    ]


def _training(results: Sequence[Result]) -> list[str]:
    """Directions, and how long each system was trained, on what."""
    if not results:
        return []
    directions = _listed(result.point.direction for result in results)
    names: dict[str, str] = {}
    budgets: dict[str, dict[str, None]] = {}
    for result in results:
        name = result.description["label"].partition(" (M=")[0]  # without M; of "LT only" and the whole, the shorter
        names[result.point.system] = min(name, names.get(result.point.system, name), key=len)
        trainer = result.record["settings"]["trainer"]
        batch = trainer["max_tokens"] * trainer.get("accumulation", 1) * trainer.get("processes", 1)
        budgets.setdefault(result.point.system, {})[f"{trainer['steps']:,} updates of {batch:,} tokens"] = None
    listed = "; ".join(f"{names[system]} {' or '.join(found)}" for system, found in budgets.items())
    machines = _listed(_machine(result.record["environment"]["hardware"]) for result in results)
    return [f"Direction: {directions}. Training: {listed} (padded, longer side), on {machines}."]


def _machine(hardware: dict[str, Any]) -> str:
    return f"{hardware.get('gpu') or hardware.get('cpu') or 'an unknown machine'}"


def _depth(results: Sequence[Result]) -> list[str]:
    ours = [result for result in results if result.point.system == OURS]
    labelled = sorted((result.settings["M"], result.description["label"], result.measured_as) for result in ours)
    pairs = _listed(
        f"{label.partition('(')[2].rstrip(')')} is {size.removesuffix(' layers')}"
        for _, label, size in labelled
        if "(" in label
    )
    if not pairs:
        return []
    return [
        "M counts the layers below the decorator, which run once a sentence. *System* gives it as of the paper's "
        f"12 layers, *Measured as* at the same fraction of the depth measured here: {pairs}."
    ]


def _bleu(results: Sequence[Result], metrics: dict[str, list[str]]) -> list[str]:
    names = {
        "bleu": "BLEU: case-sensitive, of Moses tokens, by sacreBLEU",
        "sacrebleu": "sacreBLEU of detokenised text",
    }
    notes = []
    for metric, directions in metrics.items():
        shown = [result for result in results if result.point.direction in directions]
        signatures = _listed(f"`{result.score[metric]['signature']}`" for result in shown)
        where = f" ({', '.join(directions)})" if len(metrics) > 1 else ""
        notes.append(f"{names[metric]}{where}: {signatures}.")
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
        f"through the systems in turn, run by run, subword ids in and out: no tokenisation. {_timing_jobs()} are timed "
        "in one job each, so that a system's speed differs between them as the machine did.",
        f"Hardware of the timings: {hardware.get('gpu') or hardware.get('cpu') or 'unknown'}, "
        f"{hardware.get('threads') or 'unknown'} threads.",
    ]


def _timing_jobs() -> str:
    """ "Tables 1 and 10, Tables 2 and 8, Table 4, and Figure 2"."""
    jobs = []
    for specs in timed_together():
        first, *others = [spec.label for spec in specs]
        kind, _, number = first.partition(" ")
        numbers = [number, *(other.partition(" ")[2] for other in others)]
        jobs.append(f"{kind}s {', '.join(numbers[:-1])} and {numbers[-1]}" if others else first)
    return f"{', '.join(jobs[:-1])}, and {jobs[-1]}"


def _listed(texts: Iterable[str]) -> str:
    """The different texts, in order."""
    return ", ".join(dict.fromkeys(texts))
