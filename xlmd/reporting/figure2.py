"""Figure 2: BLEU (a) and speed-up (b) against the number of iterations, one line for each M."""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from xlmd.experiment.configuration import read_config
from xlmd.experiment.tables import TABLES, cells, timed
from xlmd.reporting.figures import STYLES, save
from xlmd.reporting.grid_tables import collect, mean_score, speeds
from xlmd.reporting.paper import number, read_paper
from xlmd.reporting.provenance import provenance
from xlmd.reporting.results import Result, Results
from xlmd.reporting.tables import Column, Measured, Table, write_csv

# Tables 1 and 2 hold the points of Figure 2 that the paper gives as numbers.
PAPER_POINTS = ("XLM-D (M=0)", "XLM-D (M=6)")


def figure2(
    *,
    config: str | Path,
    papers: Sequence[str | Path],
    latency: str | Path,
    out: Sequence[str | Path],
    out_csv: str | Path,
    out_provenance: str | Path,
) -> None:
    """Draw Figure 2 to each path of `out`, with its points as CSV and their provenance.

    config: the resolved configuration. papers: the paper's tables that hold points of its own figure (CSV). Bars show
    the standard deviation over seeds (a) and over timing runs, the baseline's included (b).
    """
    settings = read_config(config)
    results, shown = Results(settings["results"], latency), cells(settings, "figure2")
    points = timed(settings, "figure2")
    fast, baseline = speeds(results, points), results[points[0]]
    spec = TABLES["figure2"]
    table = Table(spec.name, spec.label, _COLUMNS, ("system", "iterations"))
    lines: dict[str, list[tuple[int, Measured, Measured]]] = defaultdict(list)
    for (system, iterations), columns in collect(spec, shown, results).items():
        (found,) = columns.values()
        score, speed = mean_score(found), fast[system, iterations]
        speed = speed._replace(deviation=_spread(speed, baseline, found[0]))
        if iterations.isdigit():  # what has no number has no place on the axis, only in the CSV file
            lines[system].append((int(iterations), score, speed))
        measured = {"system": system, "iterations": iterations, "measured_as": found[0].measured_as}
        table.rows.append(measured | {"bleu": score, "speedup": speed})
    names = {row["system"]: f"{row['system']}, measured ({row['measured_as']})" for row in table.rows}
    paper = _paper_lines(papers, settings["grid"]["analysis"])
    _draw({names[system]: points for system, points in lines.items()}, paper, settings, out)
    write_csv(out_csv, table)
    used = results.all([*dict.fromkeys(cell.point for cell in shown), *points])
    provenance([table], used, config=settings, corpora=[], out=out_provenance)


def _spread(speed: Measured, *timed_results: Result) -> float | None:
    """The standard deviation of a speed-up, from those of the runs of both times; None for a single run."""
    times = [result.timing["translation"] for result in timed_results]
    if any(time["spread"] is None for time in times):
        return None
    return float(speed.value) * math.hypot(*(time["spread"] / time["mean"] for time in times))


_COLUMNS = [
    Column("system", "System"),
    Column("measured_as", "Measured as"),
    Column("iterations", "Iter."),
    Column("bleu", "BLEU", 2),
    Column("speedup", "Speed-up", 2),
]


def _paper_lines(papers: Sequence[str | Path], direction: str) -> dict[str, list[tuple[int, float, float]]]:
    """(iterations, BLEU, speed-up) that the paper prints for each system of Figure 2."""
    lines = defaultdict(list)
    for row in [row for path in papers for row in read_paper(path)]:
        if row["system"] in PAPER_POINTS and row.get(direction):
            iterations = int(number(row["iterations"]))
            lines[row["system"]].append((iterations, number(row[direction]), number(row["speedup"])))
    return {system: sorted(points) for system, points in lines.items()}


def _draw(lines, paper, settings, out) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8))
    theirs = left.twinx()
    for style, (system, points) in zip(cycle(STYLES), lines.items(), strict=False):
        iterations, *figures = zip(*sorted(points, key=lambda point: point[0]), strict=True)
        own = {"label": system, "markersize": 5, "linewidth": 1.4, "capsize": 3} | style
        for axes, values in zip((left, right), figures, strict=True):
            spreads = [value.deviation for value in values]
            bars = None if None in spreads else spreads
            axes.errorbar(iterations, [value.value for value in values], yerr=bars, **own)
    for marker, (system, points) in zip("ov", paper.items(), strict=False):
        iterations, scores, fast = zip(*points, strict=True)
        quoted = {"color": "0.55", "linestyle": (0, (1, 1)), "marker": marker, "markersize": 4, "linewidth": 0.9}
        quoted |= {"markerfacecolor": "white", "label": f"{system}, paper"}
        theirs.plot(iterations, scores, **quoted)
        right.plot(iterations, fast, **quoted)
    _dress(left, f"(a) BLEU, {settings['grid']['analysis']}", "BLEU, measured")
    _dress(right, "(b) Speed-up over the Transformer", "speed-up")
    if paper:
        theirs.set_ylabel("BLEU, the paper's (its own scale)", fontsize=8, color="0.4")
        theirs.tick_params(labelsize=8, colors="0.4")
    else:
        theirs.set_axis_off()
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=3, fontsize=8, bbox_to_anchor=(0.5, -0.14))
    seeds = settings["grid"]["seeds"]
    spread = f"standard deviation of {len(seeds)} seeds (a) and of" if len(seeds) > 1 else "one seed; bars (b):"
    runs = f"{settings['latency']['runs']} timing runs"
    deviation = "" if len(seeds) > 1 else " standard deviation of"
    figure.suptitle(f"Scale: {settings['scale']['name']}; {spread}{deviation} {runs}", fontsize=9)
    figure.tight_layout()
    save(figure, *out)
    plt.close(figure)


def _dress(axes: Axes, heading: str, label: str) -> None:
    axes.set_title(heading, fontsize=10)
    axes.set_xlabel("iterations", fontsize=8)
    axes.set_ylabel(label, fontsize=8)
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
