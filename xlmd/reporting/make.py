"""Makes one table of the paper from the results of the workflow, with the record of where each cell comes from."""

from pathlib import Path
from typing import Any

from xlmd.errors import UserError
from xlmd.experiment.configuration import read_config
from xlmd.experiment.points import Cell
from xlmd.experiment.tables import TABLES, cells, timed
from xlmd.files import read_json
from xlmd.reporting.caption import caption
from xlmd.reporting.case_study import case_table
from xlmd.reporting.engine_table import by_conditions, engine_table
from xlmd.reporting.grid_tables import bucket_table, grid_table, latency_table, score_table
from xlmd.reporting.paper import read_paper
from xlmd.reporting.protocol_tables import measured_protocols, quoted_protocols
from xlmd.reporting.provenance import provenance
from xlmd.reporting.results import Results, score_shown
from xlmd.reporting.tables import Table, write_csv, write_latex, write_markdown


def make(
    name: str,
    *,
    config: str | Path,
    paper: str | Path | None,
    protocols: str | Path | None,
    latency: str | Path | None,
    corpora: list[str],
    out_csv: str | Path,
    out_md: str | Path,
    out_tex: str | Path,
    out_provenance: str | Path,
) -> Table:
    """Write a table ("table1" … "table11", "latency") as CSV, Markdown and LaTeX, and its provenance.

    config: the resolved configuration (YAML); it says what the table shows and where the results lie. paper: the table
    as the paper prints it (CSV), if it prints it. protocols: how the figures of the systems that it quotes came about
    (CSV). latency: the table's timings, if it shows speeds. corpora: the counts that cleaning wrote, one JSON per pair
    and split. Raises UserError if a file is missing or malformed, or two runs claim one cell.
    """
    settings, spec = read_config(config), TABLES[name]
    shown, points = cells(settings, name), timed(settings, name)
    results = Results(settings["results"], latency if spec.timed_with else None)
    printed = read_paper(paper) if paper else []
    splits = counts(corpora)
    scored = list({cell.point: results[cell.point] for cell in shown}.values())
    if spec.form == "case":
        table = case_table(spec, shown, results, settings)
    elif spec.form == "lengths":
        table = bucket_table(spec, shown, results, printed)
    elif spec.form == "engines":
        if latency is None:
            raise UserError(f"{spec.heading}: there are no timings to show (--latency)")
        table = engine_table(spec, shown, results, latency)
    else:
        table = grid_table(spec, shown, results, points, printed)
    table.notes += caption(settings["scale"], scored, results.timings, splits, _metrics(shown))
    tables = [table]
    if protocols and spec.protocols:
        tables.append(quoted_protocols(spec, protocols, printed))
    tables.append(measured_protocols(spec, scored))
    if points:
        tables.append(latency_table(spec, results, points))
    tables.append(score_table(spec, scored))
    write_csv(out_csv, table)
    write_markdown(out_md, [*(by_conditions(table) if spec.form == "engines" else [table]), *tables[1:]])
    write_latex(out_tex, table)
    provenance(tables, [*scored, *results.all(points)], config=settings, corpora=splits, out=out_provenance)
    return table


def counts(corpora: list[str]) -> list[dict[str, Any]]:
    """What cleaning counted in each split, with the names that its path carries."""
    found = []
    for path in map(Path, corpora):
        names = {"corpus": path.parent.parent.name, "pair": path.parent.name, "split": path.stem}
        found.append(names | read_json(path))
    return found


def _metrics(shown: list[Cell]) -> dict[str, list[str]]:
    """{score: directions that show it}."""
    metrics: dict[str, list[str]] = {}
    for direction in dict.fromkeys(cell.point.direction for cell in shown):
        metrics.setdefault(score_shown(direction), []).append(direction)
    return metrics
