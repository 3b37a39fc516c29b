"""Table 1: BLEU and speed-up of iterative systems, measured figures beside the paper's."""

import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from xlmd.errors import UserError
from xlmd.reporting.caption import caption
from xlmd.reporting.provenance import provenance
from xlmd.reporting.results import PAPER_LAYERS, Index, Result, read_index, timed_on
from xlmd.reporting.tables import Column, Measured, Table, read_paper, write_csv, write_markdown

PAPER_DIRECTIONS = ("en-de", "de-en", "en-ro", "ro-en")
OUR_WORK = "Our work"
STATISTICS = ("mean", "median", "p95", "spread")  # of a latency file's translation times

RowKey = tuple[str, str]  # the system as the paper prints it, and its iterations
TRANSFORMER: RowKey = ("Transformer", "N")
CTRANSLATE2: RowKey = ("Transformer (CTranslate2)", "N")


def table1(
    *,
    index: str | Path,
    paper: str | Path,
    config: str | Path,
    out_csv: str | Path,
    out_md: str | Path,
    out_provenance: str | Path,
) -> Table:
    """Write Table 1 as CSV, as Markdown with the latency and score tables behind it, and its provenance.

    index: the results index (`xlmd.reporting.results`). paper: the paper's Table 1 as CSV. config: the resolved
    configuration, YAML or JSON, copied into the provenance. Raises UserError if a result has no row, two results of
    one seed claim the same cell, or a file is missing or malformed.
    """
    results = read_index(index)
    tables = build_tables(results, read_paper(paper, ["group", "system", "iterations", "speedup", *PAPER_DIRECTIONS]))
    write_csv(out_csv, tables[0])
    write_markdown(out_md, *tables)
    provenance(tables, results, config=config, out=out_provenance)
    return tables[0]


def build_tables(index: Index, paper_rows: list[dict[str, str | None]]) -> list[Table]:
    """Table 1 itself, then the latency table and the table of all scores, from the same results."""
    results = _by_row(index)
    directions = list(dict.fromkeys([*PAPER_DIRECTIONS, *(result.direction for result in index.results)]))
    baseline = timed_on(results.get(TRANSFORMER, []), index.latency_direction)

    rows = []
    for paper_row in paper_rows + _rows_beyond(paper_rows, results):
        found = results.get((paper_row["system"], paper_row["iterations"]), [])
        row = {
            "group": paper_row["group"],
            "system": paper_row["system"],
            "measured_as": measured_as(found[0]) if found else None,
            "iterations": paper_row["iterations"],
            "speedup": _speedup(baseline, timed_on(found, index.latency_direction)),
            "speedup_paper": paper_row["speedup"],
        }
        for direction in directions:
            row[f"{direction}_bleu"] = _mean_score(found, direction, "bleu")
            row[f"{direction}_paper"] = paper_row.get(direction)
        rows.append(row)

    columns = [
        Column("group", "Group"),
        Column("system", "System"),
        Column("measured_as", "Measured as"),
        Column("iterations", "Iter."),
        Column("speedup", "Speed-up", 1),
        Column("speedup_paper", "paper", 1),
    ]
    for direction in directions:
        columns += [Column(f"{direction}_bleu", direction, 2), Column(f"{direction}_paper", "paper", 2)]
    table = Table("table1", "Table 1", columns, ("system", "iterations"), rows, caption(index))
    order = [(row["system"], row["iterations"]) for row in rows]
    return [table, latency_table(index, results, order), score_table(results, order)]


def latency_table(index: Index, results: dict[RowKey, list[Result]], order: list[RowKey]) -> Table:
    """Time a sentence of every timed system, with speed-ups against both engines of the Transformer."""
    transformers = timed_on(results.get(TRANSFORMER, []), index.latency_direction)
    ctranslate2 = timed_on(results.get(CTRANSLATE2, []), index.latency_direction)
    rows = []
    for key in dict.fromkeys([TRANSFORMER, CTRANSLATE2, *order]):
        timed = timed_on(results.get(key, []), index.latency_direction)
        if not timed:
            continue
        row = {"system": key[0], "measured_as": measured_as(timed[0]), "iterations": key[1]}
        figures = {name: [result.latency["translation"][name] for result in timed] for name in STATISTICS}
        figures["text_to_text"] = [(result.latency.get("text_to_text") or {}).get("mean") for result in timed]
        for name, values in figures.items():
            if None not in values:
                row[name] = Measured.mean(values, [result.origin() for result in timed])
        row["speedup"] = _speedup(transformers, timed)
        row["speedup_ctranslate2"] = _speedup(ctranslate2, timed)
        rows.append(row)
    columns = [
        Column("system", "System"),
        Column("measured_as", "Measured as"),
        Column("iterations", "Iter."),
        Column("mean", "mean (ms)", 1),
        Column("median", "median (ms)", 1),
        Column("p95", "p95 (ms)", 1),
        Column("spread", "spread of runs (ms)", 2),
        Column("text_to_text", "mean, text to text (ms)", 1),
        Column("speedup", "speed-up over transformers", 2),
        Column("speedup_ctranslate2", "speed-up over CTranslate2", 2),
    ]
    title = f"Latency on {index.latency_direction}"
    notes = [
        "Milliseconds a sentence at batch 1. The Transformer is timed twice: in transformers (with key-value cache) "
        "and in CTranslate2, an optimised engine. Table 1's speed-up is over the former. "
        "Text to text adds tokenisation to the mean.",
    ]
    return Table("table1_latency", title, columns, ("system", "iterations"), rows, notes)


def score_table(results: dict[RowKey, list[Result]], order: list[RowKey]) -> Table:
    """Every variant of the score of every measured cell of Table 1."""
    metrics = {
        "bleu": "BLEU",
        "bleu_compound_split": "BLEU, compounds split",
        "sacrebleu": "sacreBLEU",
        "chrf": "chrF",
    }
    rows, signatures = [], {}
    for key in order:
        found = [result for result in results.get(key, []) if result.score]
        for direction in dict.fromkeys(result.direction for result in found):
            row = {"system": key[0], "iterations": key[1], "direction": direction}
            rows.append(row | {metric: _mean_score(found, direction, metric) for metric in metrics})
        for result in found:
            for metric, heading in metrics.items():
                signatures.setdefault(heading, {})[result.score[metric]["signature"]] = None
    columns = [Column("system", "System"), Column("iterations", "Iter."), Column("direction", "Direction")]
    columns += [Column(metric, heading, 2) for metric, heading in metrics.items()]
    notes = [f"{heading}: " + ", ".join(f"`{text}`" for text in texts) for heading, texts in signatures.items()]
    return Table("table1_scores", "All scores", columns, ("system", "iterations", "direction"), rows, notes)


def row_key(result: Result) -> RowKey:
    """The row that a result belongs to, in the paper's words: its M is ours scaled to the paper's 12 layers."""
    if result.system == "xlmd":
        paper_m = float(Fraction(int(result.setting("M")) * PAPER_LAYERS, int(result.setting("layers"))))
        return f"XLM-D (M={paper_m:.4g})", str(result.setting("iterations"))
    if result.system == "transformer":
        engine = result.decoding.get("engine", "transformers")
        engines = {"transformers": TRANSFORMER, "ctranslate2": CTRANSLATE2}
        if engine not in engines:
            raise UserError(f"results index: run {result.run} has engine {engine!r}; expected one of {list(engines)}")
        return engines[engine]
    raise UserError(f"results index: run {result.run} is of system {result.system!r}, which has no row in Table 1")


def measured_as(result: Result) -> str:
    """What was measured in a row, in a few words."""
    if result.system == "xlmd":
        return f"M={result.setting('M')} of {result.setting('layers')} layers"
    layers = f"{result.setting('encoder_layers')}+{result.setting('decoder_layers')} layers"
    return f"Marian, {layers}, beam {result.setting('beam')}"


def _by_row(index: Index) -> dict[RowKey, list[Result]]:
    rows, owners = defaultdict(list), {}
    for result in index.results:
        key = row_key(result)
        rival = owners.setdefault((key, result.direction, result.seed), result)
        if rival is not result:
            raise UserError(
                f"results index: {rival.run} and {result.run} both claim {key[0]}, iterations {key[1]}, "
                f"{result.direction}, seed {result.seed}"
            )
        rows[key].append(result)
    return dict(rows)


def _rows_beyond(paper_rows: list[dict[str, str | None]], results: dict[RowKey, list[Result]]) -> list[dict[str, Any]]:
    """Rows for the measured XLM-D points that the paper has no row for, by M and then iterations."""
    known = {(row["system"], row["iterations"]) for row in paper_rows}
    points = []
    for system, iterations in results:
        match = re.fullmatch(r"XLM-D \(M=(.+)\)", system)
        if match and (system, iterations) not in known:
            points.append((float(match[1]), int(iterations), system))
    return [
        {"group": OUR_WORK, "system": system, "iterations": str(iterations), "speedup": None}
        for _, iterations, system in sorted(points)
    ]


def _mean_score(results: list[Result], direction: str, metric: str) -> Measured | None:
    scored = [result for result in results if result.direction == direction and result.score]
    if not scored:
        return None
    return Measured.mean([result.score[metric]["score"] for result in scored], [result.origin() for result in scored])


def _speedup(baseline: list[Result], timed: list[Result]) -> Measured | None:
    """Mean latency of the baseline over that of a system."""
    if not baseline or not timed:
        return None
    reference, own = (
        Measured.mean([result.latency["translation"]["mean"] for result in group], ()).value
        for group in (baseline, timed)
    )
    origins = [result.origin() for result in timed] + [result.origin("baseline") for result in baseline]
    return Measured(reference / own, tuple(origins))
