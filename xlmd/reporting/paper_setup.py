"""The numbers with which the paper's prose says how it was set up, beside those of a configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xlmd.experiment.configuration import read_definitions
from xlmd.experiment.grid import OURS
from xlmd.experiment.layout import Layout
from xlmd.files import read_json

Found = Callable[[Layout], Any]


@dataclass(frozen=True)
class Setting:
    """What the prose says. printed: as there; here: the same of a configuration, None where it has no such thing."""

    section: str
    text: str
    printed: str
    here: Found


def _pairs(direction: str) -> Found:
    """Training pairs of a direction after cleaning."""

    def found(layout: Layout) -> int | None:
        return read_json(layout.counts(direction, "train"))["kept"] if direction in layout.directions else None

    return found


def _shape(name: str) -> Found:
    """Of the masked language model of the analyses' direction, where it is pre-trained here."""

    def found(layout: Layout) -> Any:
        base = layout.config["bases"][layout.base(layout.config["grid"]["analysis"])]
        shape = base["mlm"].get("shape")
        return f"that of {base['mlm']['source']}" if shape is None else shape.get(name, _default("mlm", name))

    return found


def _vocabulary(layout: Layout) -> int:
    base = layout.base(layout.config["grid"]["analysis"])
    return len(read_json(f"{layout.tokenizer(base)}/tokenizer.json")["model"]["vocab"])


def _ours(part: str, name: str) -> Found:
    """A setting, an option of decoding or one of the trainer, of XLM-D."""

    def found(layout: Layout) -> Any:
        kind = part if part == "trainer" else f"{OURS}.{part}"
        return layout.config["systems"][OURS][part].get(name, _default(kind, name))

    return found


def _trained(direction: str, name: str) -> Found:
    """How XLM-D is trained in a direction."""

    def found(layout: Layout) -> Any:
        if direction not in layout.directions:
            return None
        trainer = layout.trainer(OURS, direction)
        return _tokens(trainer) if name == "tokens" else trainer.get(name, _default("trainer", name))

    return found


def _tokens(trainer: dict[str, Any]) -> int:
    """Tokens per update."""
    count = 1
    for name in ("max_tokens", "processes", "accumulation"):
        count *= trainer.get(name, _default("trainer", name))
    return count


def _default(kind: str, name: str) -> Any:
    return read_definitions()[kind]["properties"][name]["default"]


SETTINGS = [
    Setting("3.1", "training pairs, En-De", "4.0M", _pairs("en-de")),
    Setting("3.1", "training pairs, En-Ro", "610K", _pairs("en-ro")),
    Setting("3.1", "subword tokens of the vocabulary", "250K", _vocabulary),
    Setting("3.1", "d_model", "768", _shape("d_model")),
    Setting("3.1", "d_hidden", "3072", _shape("ffn")),
    Setting("3.1", "n_layer", "12", _shape("layers")),
    Setting("3.1", "n_head", "12", _shape("heads")),
    Setting("3.1", "p_dropout", "0.1", _ours("settings", "dropout")),
    Setting("3.1", "t_warmup", "10000", _ours("trainer", "warmup_steps")),
    Setting("3.1", "upsampling ratio s", "2", lambda layout: layout.config["grid"]["s"]),
    Setting("3.1", "scale factor γ", "0.5", _ours("settings", "gamma")),
    Setting("3.1", "weight decay", "0.01", _ours("trainer", "weight_decay")),
    Setting("3.1", "learning rate", "0.0002", _ours("trainer", "peak_lr")),
    Setting("3.2", "training pairs, En-Fr", "35.8M", _pairs("en-fr")),
    Setting("3.2", "training pairs, Ja-En", "16.8M", _pairs("ja-en")),
    Setting("3.2", "training pairs, Ko-En", "0.23M", _pairs("ko-en")),
    Setting("3.2", "training pairs, Ar-En", "0.23M", _pairs("ar-en")),
    Setting("A.1", "updates, WMT", "200K", _trained("en-de", "steps")),
    Setting("A.1", "GPUs, WMT", "8", _trained("en-de", "processes")),
    Setting("A.1", "tokens per update, WMT", "128K", _trained("en-de", "tokens")),
    Setting("A.1", "updates, Ko-En and Ar-En", "100K", _trained("ko-en", "steps")),
    Setting("A.1", "GPUs, Ko-En and Ar-En", "1", _trained("ko-en", "processes")),
    Setting("A.1", "tokens per update, Ko-En and Ar-En", "8K", _trained("ko-en", "tokens")),
    Setting("A.1", "sentences at once when speed is measured", "1", lambda layout: 1),
    Setting("A.2", "runs of a timing", "5", lambda layout: layout.config["latency"]["runs"]),
    Setting("A.3", "size of static blocks", "8", _ours("decoding", "static_block")),
]


def settings(layout: Layout) -> list[dict[str, str]]:
    """Each setting with its number as printed and as the configuration has it, empty where it has none."""
    rows = []
    for setting in SETTINGS:
        here = setting.here(layout)
        rows.append(
            {
                "section": setting.section,
                "setting": setting.text,
                "printed": setting.printed,
                "here": "" if here is None else f"{here:,}" if isinstance(here, int) else str(here),
            }
        )
    return rows
