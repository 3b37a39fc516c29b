"""Figure 1: the decorated model, drawn from a trained model's own module tree."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from xlmd.errors import UserError
from xlmd.method.model import XLMDConfig, XLMDForTranslation
from xlmd.reporting.figures import save

BORROWED, OURS, FIXED = "#DDE7F0", "#F6D9C4", "#EEEEEE"


def figure1(model: str | Path, out: Sequence[str | Path]) -> None:
    """Draw an XLM-D model with its parts, their order and their numbers of parameters, to each path of `out`.

    model: the folder of a trained model. Only its configuration is read; the modules are built without memory. Raises
    UserError if it cannot be read.
    """
    try:
        config = XLMDConfig.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read a model from {model}: {error}") from error
    with torch.device("meta"):
        decorated = XLMDForTranslation(config)
    figure, axes = plt.subplots(figsize=(6.4, 7.2))
    _draw(axes, parts(decorated))
    _legend(axes)
    shape = f"{config.num_hidden_layers} layers of {config.hidden_size}, {config.vocab_size:,} pieces"
    axes.set_title(f"M = {config.insertion_layer} of {shape}; the numbers are parameters", fontsize=8, y=-0.04)
    save(figure, *out)
    plt.close(figure)


def parts(model: XLMDForTranslation) -> list[tuple[str, str, int, str]]:
    """(name, what it does, parameters of its own, colour) of every part, from the source upwards.

    Adds up to the model's parameters: a tied tensor counts where it stands first.
    """
    config, roberta = model.config, model.roberta
    seen: set[int] = set()

    def count(module: torch.nn.Module | None) -> int:
        new = [p for p in module.parameters() if id(p) not in seen] if module is not None else []
        seen.update(map(id, new))
        return sum(parameter.numel() for parameter in new)

    layers, m, n = roberta.encoder.layer, config.insertion_layer, config.num_hidden_layers
    found = [
        ("embeddings", "word (+ position) embeddings of the source, I states", count(roberta.embeddings), BORROWED)
    ]
    if m:
        lower = sum(count(layer) for layer in layers[:m])
        found.append((_layers(1, m), "once a sentence", lower, BORROWED))
    sigma = count(model.latent_transform)
    s = f"{config.upsampling_ratio:g}"
    found.append(("latent transform", f"I states become T = ⌈{s}·I⌉; σ is the new parameter", sigma, OURS))
    if model.add_and_scale is not None:
        text = f"(z + e(alignment))·{config.gamma:g} + position; both tables are the embeddings'"
        found.append(("add and scale", text, count(model.add_and_scale), OURS))
    if m < n:
        upper = sum(count(layer) for layer in layers[m:])
        found.append((_layers(m + 1, n), "once an iteration", upper, BORROWED))
    found.append(("LM head", "dense, LayerNorm, · word embeddings (tied), V scores", count(model.lm_head), BORROWED))
    found.append(("CTC", "collapse repeats, drop blanks", 0, FIXED))
    return found


def _layers(first: int, last: int) -> str:
    return f"layer {first}" if first == last else f"layers {first}..{last}"


def _draw(axes: Axes, found: list[tuple[str, str, int, str]]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-0.9, len(found) * 1.5 + 0.6)
    height = {}
    for number, (name, text, parameters, colour) in enumerate(found):
        bottom = number * 1.5
        height[name] = bottom + 0.5
        axes.add_patch(
            FancyBboxPatch((1.6, bottom), 7.6, 1.0, boxstyle="round,pad=0.04", facecolor=colour, **_edge(colour))
        )
        axes.text(1.8, bottom + 0.66, name, fontsize=10, weight="bold", va="center")
        axes.text(1.8, bottom + 0.27, text, fontsize=7.5, va="center")
        if parameters:
            axes.text(9.05, bottom + 0.66, f"{parameters:,}", fontsize=8, ha="right", va="center", family="monospace")
        axes.annotate("", (5.4, bottom - 0.02), (5.4, bottom - 0.46), arrowprops={"arrowstyle": "->", "color": "0.2"})
    top = len(found) * 1.5 - 0.5
    axes.annotate("", (5.4, top + 0.46), (5.4, top + 0.02), arrowprops={"arrowstyle": "->", "color": "0.2"})
    axes.text(5.4, -0.75, "source  <s> x </s>", ha="center", fontsize=9)
    axes.text(5.4, top + 0.55, "translation", ha="center", fontsize=9)
    if "add and scale" in height:
        _feedback(axes, height["LM head"], height["add and scale"])


def _feedback(axes: Axes, start: float, stop: float) -> None:
    """The alignment goes back into add-and-scale, once an iteration."""
    axes.plot([1.55, 0.8, 0.8], [start, start, stop], color="0.2", linewidth=1, linestyle="--")
    axes.annotate("", (1.55, stop), (0.8, stop), arrowprops={"arrowstyle": "->", "color": "0.2", "linestyle": "--"})
    axes.text(
        0.55, (start + stop) / 2, "best tokens, <mask> at first", rotation=90, ha="center", va="center", fontsize=8
    )


def _edge(colour: str) -> dict[str, Any]:
    """What tells the kinds apart where there are no colours."""
    return {"edgecolor": "0.2", "linewidth": {OURS: 2.4}.get(colour, 1.0), "linestyle": {FIXED: ":"}.get(colour, "-")}


def _legend(axes: Axes) -> None:
    kinds = {"of the pre-trained model": BORROWED, "the decorator": OURS, "no parameters": FIXED}
    handles = [plt.Rectangle((0, 0), 1, 1, facecolor=colour, **_edge(colour)) for colour in kinds.values()]
    axes.legend(handles, kinds, loc="upper center", bbox_to_anchor=(0.54, 1.04), ncol=3, fontsize=8, frameon=False)
