"""The course of every training run in one picture: loss above, validation below, one column a kind of run."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from xlmd.errors import UserError
from xlmd.reporting.figures import STYLES, save

_VALIDATION = {"bleu": "dev BLEU (validation sample)", "dev_accuracy": "accuracy at masked positions"}


def curves(runs: Sequence[str], out: str) -> None:
    """Plot curves.csv of each run folder to `out` (its suffix picks the format). Raises UserError if one is missing."""
    columns = defaultdict(list)
    for run in runs:
        path = Path(run) / "curves.csv"
        if not path.exists():
            raise UserError(f"{path} is missing: was the run trained?")
        columns[Path(run).name].append((Path(run).parent.name, pd.read_csv(path)))
    figure, axes = plt.subplots(2, len(columns), figsize=(4 * len(columns), 5.5), squeeze=False, sharex="col")
    for column, (name, group) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(name, fontsize=9)
        for number, (label, rows) in enumerate(group):
            style = {"label": label, "linestyle": STYLES[number % len(STYLES)]["linestyle"], "linewidth": 1.2}
            for axis, names in ((column[0], ["loss"]), (column[1], list(_VALIDATION))):
                for metric in names:
                    points = rows[rows["name"] == metric]
                    if len(points):
                        axis.plot(points["step"], points["value"], marker="." if metric != "loss" else None, **style)
                        axis.set_ylabel(_VALIDATION.get(metric, "training loss"), fontsize=8)
        column[1].set_xlabel("updates", fontsize=8)
        for axis in column:
            axis.grid(alpha=0.3)
            axis.tick_params(labelsize=7)
        column[0].legend(fontsize=7)
    figure.tight_layout()
    save(figure, out)
    plt.close(figure)
