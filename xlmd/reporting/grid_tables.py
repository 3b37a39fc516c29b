"""The tables of scores and speeds: the paper's rows and columns, with what was measured beside what it prints."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlmd.errors import UserError
from xlmd.experiment.points import TIMED_IN, Cell, Point
from xlmd.reporting.paper import figure_columns, protocols, title
from xlmd.reporting.results import Result, Results
from xlmd.reporting.tables import Column, Measured, Table

OUR_WORK = "Our work"
KEYS = ("system", "iterations")
LATENCY = "latency_ms"
STATISTICS = ("mean", "median", "p95", "spread")  # of a system's translation times

# The paper scores these with tokenized BLEU and all others with sacreBLEU (§3.1).
TOKENIZED = {"en-de", "de-en", "en-ro", "ro-en", "en-fr", "fr-en"}

Row = tuple[str, str]  # the system as the paper prints it, and its iterations
Paper = list[dict[str, str | None]]


def metric_of(direction: str) -> str:
    """The score that the paper reports for a direction: "bleu" (of Moses tokens) or "sacrebleu"."""
    return "bleu" if direction in TOKENIZED else "sacrebleu"


def grid_table(name: str, cells: Sequence[Cell], results: Results, timed: Sequence[Point], paper: Paper) -> Table:
    """Tables 1–6 and 8–10: a row a system and number of iterations, the paper's first and then what it has no row for.

    Raises UserError if two runs claim one cell.
    """
    found = collect(name, cells, results)
    fast = speeds(results, timed)

    printed = figure_columns(paper)
    columns = list(dict.fromkeys([*printed, *(cell.column for cell in cells)]))
    quoted = {(row.get("system"), row["iterations"]): row for row in paper}
    rows = []
    for key in [*quoted, *(key for key in sorted(found, key=_order) if key not in quoted)]:
        own, theirs = found.get(key, {}), quoted.get(key, {})
        results_of_row = [result for group in own.values() for result in group]
        row: dict[str, Any] = {
            "group": theirs.get("group", OUR_WORK),
            "system": key[0],
            "measured_as": results_of_row[0].measured_as if results_of_row else None,
            "iterations": key[1],
            "speedup": fast.get(key),
            "speedup_paper": theirs.get("speedup"),
        }
        for column in columns:
            row[_measured_name(column)] = _figure(column, own.get(column, []))
            row[f"{column}_paper"] = theirs.get(column)
        rows.append(row)
    return Table(name, title(name), _columns(name, columns, paper), KEYS, rows)


def collect(name: str, cells: Sequence[Cell], results: Results) -> dict[Row, dict[str, list[Result]]]:
    """{row: {column: results of all seeds}}. Raises UserError if two runs of one seed claim one cell."""
    found: dict[Row, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        result = results[cell.point]
        cell_of = found[result.row, result.iterations][cell.column]
        rivals = [other for other in cell_of if other.record["seed"] == result.record["seed"]]
        if rivals:
            raise UserError(f"{title(name)}: {rivals[0].folder} and {result.folder} both claim one cell")
        cell_of.append(result)
    return found


def mean_score(results: Sequence[Result]) -> Measured:
    """The mean over seeds of the score that the paper gives for the direction."""
    scores = [result.score[metric_of(result.point.direction)]["score"] for result in results]
    return Measured.mean(scores, [result.origin() for result in results])


def _measured_name(column: str) -> str:
    return column if column in ("bleu", LATENCY) else f"{column}_bleu"


def _columns(name: str, columns: list[str], paper: Paper) -> list[Column]:
    shown = [Column("group", "Group")] if paper and "group" in paper[0] else []
    shown += [Column("system", "System"), Column("measured_as", "Measured as"), Column("iterations", "Iter.")]
    if name in TIMED_IN:
        shown += [Column("speedup", "Speed-up", 1), Column("speedup_paper", "paper", 1)]
    for column in columns:
        shown += [Column(_measured_name(column), column.replace("_", " "), 2), Column(f"{column}_paper", "paper", 2)]
    return shown


def _order(row: Row) -> tuple[bool, str, float, int]:
    """Of rows that the paper does not have: baselines, then ours by M and iterations."""
    depth = row[0].partition("M=")[2].rstrip(")")
    return row[0].startswith("XLM-D"), row[0].partition(" (")[0], float(depth or 0), int(row[1]) if row[1] != "N" else 0


def _figure(column: str, results: list[Result]) -> Measured | None:
    """The mean over seeds of a cell's score, or of its latency."""
    if not results:
        return None
    if column == LATENCY:
        return _timing(results[0], "mean")
    return mean_score(results)


def _timing(result: Result, statistic: str) -> Measured | None:
    return Measured(result.latency["translation"][statistic], (result.origin(),)) if result.latency else None


def speeds(results: Results, timed: Sequence[Point], baseline: int = 0) -> dict[Row, Measured]:
    """Speed-up of every timed system: mean latency of the baseline, timed[baseline], over its own."""
    if not timed:
        return {}
    reference = results[timed[baseline]]
    mean = reference.latency["translation"]["mean"]
    return {
        (result.row, result.iterations): Measured(
            mean / result.latency["translation"]["mean"], (result.origin(), reference.origin("baseline"))
        )
        for result in results.all(timed)
    }


def latency_table(name: str, results: Results, timed: Sequence[Point]) -> Table:
    """Time a sentence of every timed system, with speed-ups against both engines of the Transformer."""
    over = {"speedup": speeds(results, timed), "speedup_ctranslate2": speeds(results, timed, 1)}
    sizes = list(results.timings["batch_sizes"])
    rows = []
    for result in results.all(timed):
        key = (result.row, result.iterations)
        row = {"system": key[0], "measured_as": result.measured_as, "iterations": key[1]}
        row |= {statistic: _timing(result, statistic) for statistic in STATISTICS}
        row["text_to_text"] = Measured(result.latency["text_to_text"]["mean"], (result.origin(),))
        for size in sizes:
            row[f"throughput_{size}"] = Measured(result.latency["throughput"][str(size)], (result.origin(),))
        rows.append(row | {column: figures[key] for column, figures in over.items()})
    columns = [
        Column("system", "System"),
        Column("measured_as", "Measured as"),
        Column("iterations", "Iter."),
        Column("mean", "mean (ms)", 1),
        Column("median", "median (ms)", 1),
        Column("p95", "p95 (ms)", 1),
        Column("spread", "spread of runs (ms)", 2),
        Column("text_to_text", "mean, text to text (ms)", 1),
        *(Column(f"throughput_{size}", f"sentences/s at batch {size}", 1) for size in sizes),
        Column("speedup", "speed-up over transformers", 2),
        Column("speedup_ctranslate2", "speed-up over CTranslate2", 2),
    ]
    notes = [
        "Milliseconds a sentence at batch 1. The Transformer is timed twice: in transformers (with key-value cache) "
        "and in CTranslate2, an optimised engine. The speed-up of the table above is over the former. "
        "Text to text adds tokenisation to the mean.",
    ]
    return Table(f"{name}_latency", f"{title(name).split(':')[0]}, latency", columns, KEYS, rows, notes)


def score_table(name: str, results: Sequence[Result]) -> Table:
    """Every variant of the score of every decoding in a table."""
    metrics = {
        "bleu": "BLEU",
        "bleu_compound_split": "BLEU, compounds split",
        "sacrebleu": "sacreBLEU",
        "chrf": "chrF",
    }
    if any(result.score["bleu_without_diacritics"] for result in results):
        metrics["bleu_without_diacritics"] = "BLEU, Romanian without diacritics"
    rows, signatures = [], {heading: {} for heading in metrics.values()}
    for result in results:
        row = {"decoding": result.point.path, "seed": result.record["seed"]}
        for metric, heading in metrics.items():
            if result.score[metric] is None:
                continue
            row[metric] = Measured(result.score[metric]["score"], (result.origin(),))
            signatures[heading][result.score[metric]["signature"]] = None
        rows.append(row)
    columns = [Column("decoding", "Decoding"), Column("seed", "Seed")]
    columns += [Column(metric, heading, 2) for metric, heading in metrics.items()]
    notes = [f"{heading}: " + ", ".join(f"`{text}`" for text in texts) for heading, texts in signatures.items()]
    heading = f"{title(name).split(':')[0]}, all scores"
    return Table(f"{name}_scores", heading, columns, ("decoding", "seed"), rows, notes)


def protocol_table(name: str, path: str | Path, paper: Paper) -> Table | None:
    """How the figures came about that the paper quotes; None for a table that quotes no system."""
    frame = protocols(path, [row["system"] for row in paper if "citation" in row or name in ("table3", "table10")])
    if frame.empty:
        return None
    columns = [Column(column, column.replace("_", " ")) for column in frame.columns]
    notes = [
        "Figures of different protocols do not compare: what a system was distilled from, how many lengths it tries, "
        "whether another model rescores, how checkpoints are averaged, and what tokens BLEU counts. *unsure*: not all "
        "of a row could be checked in its authors' code or text."
    ]
    heading = f"{title(name).split(':')[0]}, protocols of the quoted systems"
    return Table(f"{name}_protocols", heading, columns, ("system",), frame.to_dict("records"), notes)


def bucket_table(name: str, cells: Sequence[Cell], results: Results, paper: Paper) -> Table:
    """Table 7: BLEU of the sentences whose reference has so many Moses tokens."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows = []
    for quoted in paper:
        low, high = quoted["min_length"], quoted["max_length"]
        row: dict[str, Any] = {"bucket": f"{low} to {high}" if high else f"{low} and more"}
        for column in columns:
            found = [results[cell.point] for cell in cells if cell.column == column]
            buckets = [result.score["buckets"][low] for result in found]
            if all(bucket["sentences"] for bucket in buckets):
                figures = [bucket["score"] for bucket in buckets]
                row[f"{column}_bleu"] = Measured.mean(figures, [result.origin() for result in found])
            row |= {f"{column}_paper": quoted.get(column), "sentences": str(buckets[0]["sentences"])}
        rows.append(row)
    shown = [Column("bucket", "Tokens of the reference"), Column("sentences", "Sentences")]
    for column in columns:
        shown += [Column(f"{column}_bleu", column, 2), Column(f"{column}_paper", "paper", 2)]
    system = results[cells[0].point]
    note = f"System: {system.row}, measured as {system.measured_as}, trained on {system.point.data} data."
    return Table(name, title(name), shown, ("bucket",), rows, [note])
