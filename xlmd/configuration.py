"""Checks of the configuration: against the schemas, and what no schema can say of values that must fit together."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from xlmd.errors import UserError

# Table 1 compares these two; the first is also the teacher of distillation.
BASELINE, OURS = "transformer", "xlmd"


def read_definitions(schemas: Path) -> dict[str, Any]:
    """What `xlmd.schema` wrote: the settings of every system. Quick, unlike asking the systems, which import torch."""
    return yaml.safe_load((schemas / "settings.schema.yaml").read_text(encoding="utf-8"))


def check_config(config: dict[str, Any], schemas: Path) -> None:
    """Raise UserError naming the key that is unknown, missing, has a bad value, or does not fit another."""
    schema = yaml.safe_load((schemas / "config.schema.yaml").read_text(encoding="utf-8"))
    schema["$defs"] = read_definitions(schemas)
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if errors:
        worst = jsonschema.exceptions.best_match(errors)
        key = ".".join(map(str, worst.absolute_path)) or "(top level)"
        raise UserError(f"config, at {key}: {worst.message}")
    for key, problem in _inconsistencies(config, schema["$defs"]["mlm"]["properties"]["layers"]["default"]):
        raise UserError(f"config, at {key}: {problem}")


def _inconsistencies(config: dict[str, Any], default_layers: int) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of values that are each well-formed."""
    corpora, pairs = config["corpora"], [entry["pair"] for entry in config["directions"]]
    for entry in config["directions"]:
        pair = entry["pair"]
        yield from _missing_text("directions", pair, entry["corpus"], pair.split("-"), corpora)
        if pairs.count(pair) > 1:
            yield "directions", f"{pair} is there more than once"
        if len(set(pair.split("-"))) == 1:
            yield "directions", f"{pair} translates a language into itself"
    text = config["pretraining_text"]
    yield from _missing_text("pretraining_text", "it", text["corpus"], text["languages"], corpora)
    if config["latency"]["direction"] not in pairs:
        yield "latency.direction", f"{config['latency']['direction']} is not among directions"
    for system in (BASELINE, OURS):
        if system not in config["systems"]:
            yield "systems", f"{system!r} is missing; Table 1 needs it"
    if not config["systems"][BASELINE]["decoding"]:
        yield f"systems.{BASELINE}.decoding", "must name an option, as beam; Table 1's decoding is called by it"
    if config["mlm"]["source"] == "pretrain":
        layers = config["mlm"]["shape"].get("layers", default_layers)
        for m in config["table1"]["M"]:
            if m > layers:
                yield "table1.M", f"M = {m}, but the model has {layers} layers"


def _missing_text(
    key: str, user: str, corpus: str, languages: Sequence[str], corpora: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    if corpus not in corpora:
        yield key, f"{user} wants corpus {corpus!r}; corpora has {sorted(corpora)}"
        return
    known = corpora[corpus]["languages"]
    for language in languages:
        if language not in known:
            yield key, f"{user} wants {language!r}; corpora.{corpus}.languages has {known}"
