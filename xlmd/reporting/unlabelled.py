"""Labels of runs and decodings that carry none: to be deleted once `System.describe` writes `label` and `size` into
run.json, and `xlmd decode` writes `iterations_label` into test.json."""

from fractions import Fraction
from typing import Any

from xlmd.errors import UserError
from xlmd.experiment.points import Point

PRINTED = {"transformer": "Transformer", "cmlm": "CMLM", "xlmd": "XLM-D"}


def labelled(point: Point, description: dict[str, Any]) -> dict[str, Any]:
    """A run's description, with the label and size that it should carry."""
    if "label" in description:
        return description
    settings = description["settings"]
    if point.system not in PRINTED:
        raise UserError(f"{point.run}: its run.json has no label, and {point.system} is none of {sorted(PRINTED)}")
    label = PRINTED[point.system]
    if point.system != "xlmd":
        size = f"{settings['encoder_layers']}+{settings['decoder_layers']} layers"
        return description | {"label": label, "size": size}
    depth = f" (M={float(Fraction(settings['M'] * 12, settings['layers'])):.4g})"
    label += depth if settings["add_and_scale"] else " with LT only" + (depth if settings["M"] else "")
    return description | {"label": label, "size": f"M={settings['M']} of {settings['layers']} layers"}


def derived_iterations(point: Point) -> str:
    """The label of a decoding's iterations, from its name."""
    return str(dict(point.decoding).get("iterations", "N"))
