"""The tables of scores and speeds: the paper's rows and columns, with what was measured beside what it prints."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from xlmd.errors import UserError
from xlmd.experiment.grid import OURS
from xlmd.experiment.points import Cell, Point
from xlmd.experiment.tables import TableSpec
from xlmd.reporting.paper import figure_columns
from xlmd.reporting.results import Result, Results
from xlmd.reporting.tables import Column, Measured, Table

OUR_WORK, FURTHER = "Our work", "Further, not in the paper"  # groups of rows
KEYS = ("system", "iterations")
STATISTICS = ("mean", "median", "p95", "spread")  # of a system's translation times

Row = tuple[str, str]  # the system as the paper prints it, and its iterations
Paper = list[dict[str, str | None]]


def grid_table(spec: TableSpec, cells: Sequence[Cell], results: Results, timed: Sequence[Point], paper: Paper) -> Table:
    """A row per system and number of iterations: the paper's first, then, XLM-D last, those that it has not, in the
    order of the cells.

    Raises UserError if two runs claim one cell.
    """
    found = collect(spec, cells, results)
    fast = speeds(results, timed)

    printed = figure_columns(paper)
    columns = list(dict.fromkeys([*printed, *(cell.column for cell in cells)]))
    quoted = {(str(row["system"]), str(row["iterations"])): row for row in paper}
    rows = []
    for key in [*quoted, *(key for key in sorted(found, key=lambda key: _is_ours(found[key])) if key not in quoted)]:
        own, theirs = found.get(key, {}), quoted.get(key, {})
        results_of_row = [result for group in own.values() for result in group]
        row: dict[str, Any] = {
            "group": theirs.get("group") or (OUR_WORK if _is_ours(own) else FURTHER),
            "system": key[0],
            "measured_as": results_of_row[0].measured_as if results_of_row else None,
            "iterations": key[1],
            "speedup": fast.get(key),
            "speedup_paper": theirs.get("speedup"),
        }
        for column in columns:
            row[spec.measured(column)] = _figure(spec, own.get(column, []))
            row[f"{column}_paper"] = theirs.get(column)
        rows.append(row)
    return Table(spec.name, spec.heading, _columns(spec, columns, paper), KEYS, rows)


def collect(spec: TableSpec, cells: Sequence[Cell], results: Results) -> dict[Row, dict[str, list[Result]]]:
    """{row: {column: results of all seeds}}. Raises UserError if two runs of one seed claim one cell."""
    found: dict[Row, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        result = results[cell.point]
        cell_of = found[result.row, result.iterations][cell.column]
        others = [other for other in cell_of if other.record["seed"] == result.record["seed"]]
        if others:
            raise UserError(f"{spec.heading}: {others[0].folder} and {result.folder} both claim one cell")
        cell_of.append(result)
    return found


def mean_score(results: Sequence[Result]) -> Measured:
    """The mean over seeds of the score that the paper gives for the direction."""
    return Measured.mean([result.shown_score for result in results], [result.origin() for result in results])


def _is_ours(columns: dict[str, list[Result]]) -> bool:
    return any(result.point.system == OURS for results in columns.values() for result in results)


def _columns(spec: TableSpec, columns: list[str], paper: Paper) -> list[Column]:
    shown = [Column("group", "Group")] if paper and "group" in paper[0] else []
    shown += [Column("system", "System"), Column("measured_as", "Measured as"), Column("iterations", "Iter.")]
    if spec.timed_with:
        shown += [Column("speedup", "Speed-up", 1), Column("speedup_paper", "paper", 1)]
    for column in columns:
        shown += [Column(spec.measured(column), column.replace("_", " "), 2), Column(f"{column}_paper", "paper", 2)]
    return shown


def _figure(spec: TableSpec, results: list[Result]) -> Measured | None:
    """The mean over seeds of a cell's score, or of its latency."""
    if not results:
        return None
    if spec.figure == "latency_ms":
        return _timing(results[0], "mean")
    return mean_score(results)


def _timing(result: Result, statistic: str) -> Measured | None:
    """A statistic of a system's times, if it was timed and there is one: a single run has no spread."""
    value = result.latency["translation"][statistic] if result.latency else None
    return None if value is None else Measured(value, (result.origin(),))


def speeds(results: Results, timed: Sequence[Point], baseline: int = 0) -> dict[Row, Measured]:
    """Speed-up of every timed system: mean latency of the baseline, timed[baseline], over its own."""
    if not timed:
        return {}
    reference = results[timed[baseline]]
    mean = reference.timing["translation"]["mean"]
    return {
        (result.row, result.iterations): Measured(
            mean / result.timing["translation"]["mean"], (result.origin(), reference.origin("baseline"))
        )
        for result in results.all(timed)
    }


def latency_table(spec: TableSpec, results: Results, timed: Sequence[Point]) -> Table:
    """Time a sentence of every timed system, with speed-ups against both engines of the Transformer."""
    over = {"speedup": speeds(results, timed), "speedup_ctranslate2": speeds(results, timed, 1)}
    sizes = list(results.timings["batch_sizes"])
    rows = []
    for result in results.all(timed):
        key = (result.row, result.iterations)
        row: dict[str, Any] = {"system": key[0], "measured_as": result.measured_as, "iterations": key[1]}
        row |= {statistic: _timing(result, statistic) for statistic in STATISTICS}
        row["text_to_text"] = Measured(result.timing["text_to_text"]["mean"], (result.origin(),))
        for size in sizes:
            row[f"throughput_{size}"] = Measured(result.timing["throughput"][str(size)], (result.origin(),))
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
    return Table(f"{spec.name}_latency", f"{spec.label}, latency", columns, KEYS, rows, notes)


def score_table(spec: TableSpec, results: Sequence[Result]) -> Table:
    """Every variant of the score of every decoding in a table."""
    metrics = {
        "bleu": "BLEU",
        "bleu_compound_split": "BLEU, compounds split",
        "sacrebleu": "sacreBLEU",
        "chrf": "chrF",
    }
    if any(result.score["bleu_without_diacritics"] for result in results):
        metrics["bleu_without_diacritics"] = "BLEU, Romanian without diacritics"
    rows: list[dict[str, Any]] = []
    signatures: dict[str, dict[str, None]] = {heading: {} for heading in metrics.values()}
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
    heading = f"{spec.label}, all scores"
    return Table(f"{spec.name}_scores", heading, columns, ("decoding", "seed"), rows, notes)


def bucket_table(spec: TableSpec, cells: Sequence[Cell], results: Results, paper: Paper) -> Table:
    """BLEU of the sentences whose reference has so many Moses tokens."""
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
                row[spec.measured(column)] = Measured.mean(figures, [result.origin() for result in found])
            row |= {f"{column}_paper": quoted.get(column), "sentences": str(buckets[0]["sentences"])}
        rows.append(row)
    shown = [Column("bucket", "Tokens of the reference"), Column("sentences", "Sentences")]
    for column in columns:
        shown += [Column(spec.measured(column), column, 2), Column(f"{column}_paper", "paper", 2)]
    system = results[cells[0].point]
    note = f"System: {system.row}, measured as {system.measured_as}, trained on {system.point.data} data."
    return Table(spec.name, spec.heading, shown, ("bucket",), rows, [note])
