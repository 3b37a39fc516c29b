"""What the figures share: how they are drawn and saved."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

from xlmd.files import atomic_write

# Told apart in greyscale too, by line style and marker as well as by colour (Okabe and Ito's palette).
STYLES = [
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#CC79A7", "linestyle": ":", "marker": "D"},
]


def save(figure: Figure, *paths: str | Path) -> None:
    """Save a figure to each path, in the format that its suffix names, atomically, the same bytes every time."""
    # Without a date and with fixed ids, the same results give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "xlmd"
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    for path in map(Path, paths):
        kind = path.suffix.removeprefix(".")
        with atomic_write(path, "wb") as handle:
            figure.savefig(handle, format=kind, dpi=150, bbox_inches="tight", metadata=dates.get(kind))
