"""What a decoding is: the options that its name spells, over its system's defaults, and the run that it is of."""

from pathlib import Path
from typing import Any

from xlmd.errors import UserError
from xlmd.experiment.names import DEV, parse_decoding
from xlmd.files import read_json
from xlmd.options import parse_options
from xlmd.systems import find_system

ENGINE = "engine"  # stands in the name of a timing: the program that runs the model, which is no option of its system


def decoding_options(run: str | Path, name: str, defaults: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The options of decoding a run: its system's `defaults`, then what the decoding's name says.

    The value `dev` stands for the one that was chosen on the dev set when the run's training ended (`System.choose`).
    Raises UserError naming an option that the system does not have, a value of another type, or one never chosen.
    """
    record = read_json(Path(run) / "run.json")
    system, chosen = find_system(record["description"]["system"]), chosen_options(run)
    texts = {key: str(value) for key, value in defaults.get(system.name, {}).items()} | parse_decoding(name)
    texts.pop(ENGINE, None)
    for key in [key for key, text in texts.items() if text == DEV]:
        if key not in chosen:
            raise UserError(f"decoding option {key}={DEV}: {run} has no value chosen on the dev set")
        texts[key] = str(chosen[key])
    return parse_options(system.Decoding, texts, f"decoding of {system.name}")


def chosen_options(run: str | Path) -> dict[str, Any]:
    """The options of decoding that were chosen on the dev set when the run's training ended (`System.choose`)."""
    return read_json(Path(run) / "run.json").get("chosen", {})


def describe(run: str | Path, decoding: dict[str, Any]) -> dict[str, Any]:
    """What a decoded or timed file is: the run's own description with the decoding options."""
    record = read_json(Path(run) / "run.json")
    return record["description"] | {"run": str(run), "seed": record["seed"], "decoding": decoding}
