"""The figure beside results/latency.csv: BLEU against the time that a sentence takes, for each system and engine."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from xlmd.reporting.engine_table import PRINTED
from xlmd.reporting.figures import save

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's
_MARKERS = dict(zip(PRINTED.values(), "osD^v", strict=True))


def latency_figure(table: str | Path, out: Sequence[str | Path]) -> None:
    """Draw the table's first size of batch, on its first number of cores, to each path of `out`.

    table: results/latency.csv. A system's colour is its own, lines join its numbers of iterations, markers are engines.
    """
    rows = pd.read_csv(table)
    batch, threads = rows.batch[0], rows.threads[0]
    rows = rows[(rows.batch == batch) & (rows.threads == threads)]
    systems = (
        rows.system + ", " + rows.measured_as + rows.data.map(lambda data: ", original data" * (data == "original"))
    )
    figure, axes = plt.subplots(figsize=(8, 4.6))
    names = list(dict.fromkeys(systems))
    for number, name in enumerate(names):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot([], [], color=colour, linewidth=3, label=name)
        for engine, points in rows[systems == name].groupby("engine", sort=False):
            marker = _MARKERS[engine]
            axes.plot(points.ms, points.bleu, color=colour, linewidth=0.8, marker=marker, markerfacecolor="none")
    for engine in rows.engine.unique():
        axes.plot([], [], color="0.3", linestyle="", marker=_MARKERS[engine], markerfacecolor="none", label=engine)
    axes.set_xscale("log")
    axes.set_xlabel(f"ms per sentence, batch {batch}, {threads} {'core' if threads == 1 else 'cores'}", fontsize=9)
    axes.set_ylabel("BLEU of the translations timed", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    save(figure, *out)
    plt.close(figure)
