"""Reading the configuration; checks of it, against the schemas and for values that must fit together."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from xlmd.errors import UserError
from xlmd.experiment.grid import ALWAYS_SPELT, BASELINE, OURS, Grid
from xlmd.experiment.layout import TEACHER
from xlmd.experiment.names import DECODING, DIRECTION, FOLDER_NAME, FOLDER_PATH, LANGUAGE, parse_run
from xlmd.experiment.tables import TABLES
from xlmd.files import RESOURCES
from xlmd.pretrained.registry import find_model

# The parts of a base, and what `source` says where they are trained here.
IMPORTABLE = {"tokenizer": "train", "mlm": "pretrain"}


def _name(pattern: str, description: str) -> dict[str, str]:
    return {"type": "string", "pattern": rf"^{pattern}\Z", "description": description}


_FOLDER = "not beginning with - or ~, no braces, no white space at its ends"
_NAMES = {
    "pair": _name(DIRECTION, "two languages, as en-de"),
    "language": _name(LANGUAGE, "the code of a language, two or three small letters"),
    "decoding_name": _name(DECODING, "options, as iterations=4-strategy=static"),
    "folder_name": _name(FOLDER_NAME, f"the name of a folder, {_FOLDER}"),
    "folder_path": _name(FOLDER_PATH, f"a relative path of folders, each {_FOLDER}"),
}


_SCHEMAS = RESOURCES / "schemas"
_CORPORA, _MODELS = RESOURCES / "corpora.yaml", RESOURCES / "models.yaml"


def read_definitions() -> dict[str, Any]:
    """What `xlmd.schema` wrote: the settings of every system. Quick, unlike asking the systems, which import torch."""
    return read_config(_SCHEMAS / "settings.schema.yaml")


def _is_whole(checker: Any, value: Any) -> bool:
    """1.0 is an integer to JSON's schemas, but to none of the commands that are given it."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)


def config_schema() -> dict[str, Any]:
    """The JSON schema of the whole configuration."""
    schema = read_config(_SCHEMAS / "config.schema.yaml")
    return schema | {"$defs": schema["$defs"] | read_definitions() | _NAMES}


def read_config(path: str | Path) -> dict[str, Any]:
    """The resolved configuration. Raises UserError naming the file if it cannot be read."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def resolve_corpora(config: dict[str, Any]) -> None:
    """Replace, in place, each corpus of kind `registered` by what the registry has under its name.

    What else the configuration says of it, as another dev set, stands instead of the registry's. Raises UserError
    naming a corpus that the registry does not have.
    """
    registered = [
        name for name, entry in _mapping(config.get("corpora")).items() if _mapping(entry).get("kind") == "registered"
    ]
    known = read_config(_CORPORA) if registered else {}
    for name in registered:
        if name not in known:
            raise UserError(f"config, at corpora.{name}: {_CORPORA.name} has no such corpus, only {sorted(known)}")
        own = config["corpora"][name]
        splits = known[name]["splits"] | _mapping(own.get("splits"))
        config["corpora"][name] = known[name] | own | {"kind": "files", "splits": splits}


def _mapping(value: Any) -> dict:
    """`value` if it is a mapping; what else stands in its place is the schema's to name."""
    return value if isinstance(value, dict) else {}


def resolve_models(config: dict[str, Any]) -> None:
    """Leave below `models`, in place, those that the bases start from: the configuration's own, or the registry's.

    Raises UserError naming the key of a model that is neither there nor a folder, listing those that are there.
    """
    known = read_config(_MODELS) | _mapping(config.get("models"))
    used: dict[str, Any] = {}
    for name, base in _mapping(config.get("bases")).items():
        for part in IMPORTABLE:
            entry = _mapping(base).get(part)
            if isinstance(entry, dict) and is_imported(base, part) and isinstance(entry["source"], str):
                _at(f"bases.{name}.{part}.source", find_model, known, entry["source"], entry.get("via"))
                used |= {model: known[model] for model in [entry["source"]] if model in known}
    config["models"] = used


def is_imported(base: dict[str, Any], part: str) -> bool:
    """Whether a base's "tokenizer" or "mlm" comes from elsewhere, rather than being trained here."""
    return base[part].get("source", IMPORTABLE[part]) != IMPORTABLE[part]


def _at(key: str, function: Callable, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except UserError as error:
        raise UserError(f"config, at {key}: {error}") from None


def check_config(config: dict[str, Any]) -> None:
    """Raise UserError naming the key that is unknown, missing, has a bad value, or does not fit another."""
    schema = config_schema()
    for key, problem in _unreadable(config):
        raise UserError(f"config, at {key or '(top level)'}: {problem}")
    errors = list(_Validator(schema).iter_errors(config))
    if errors:
        worst = jsonschema.exceptions.best_match(errors)
        key = ".".join(map(str, worst.absolute_path)) or "(top level)"
        raise UserError(f"config, at {key}: {_message(worst)}")
    for key, problem in _inconsistencies(config, schema["$defs"]["mlm"]["properties"]["layers"]["default"]):
        raise UserError(f"config, at {key}: {problem}")


def _unreadable(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of what YAML reads as another thing than was meant, or as no thing of a schema."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                yield key, f"a key is {name!r}, not a text; {_QUOTES}"
            else:
                yield from _unreadable(inner, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unreadable(inner, f"{key}.{number}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield key, f"{value} is not a finite number"


_QUOTES = "YAML takes no, off, 2016 and the like for other things: put it in quotes"


def _message(error: jsonschema.ValidationError) -> str:
    """What is wrong with a value, and what is meant where the schema's own words would not tell."""
    if error.validator == "pattern" and "description" in error.schema:
        return f"{error.instance!r}: expected {error.schema['description']}"
    if error.validator == "type" and error.validator_value == "string" and not isinstance(error.instance, dict | list):
        return f"{error.message}; {_QUOTES}"
    if (
        error.validator == "type"
        and isinstance(error.instance, str)
        and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", error.instance)
    ):
        return f"{error.message}; YAML takes a number for one only with a point, as 1.0e-3"
    return error.message


def _inconsistencies(config: dict[str, Any], default_layers: int) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of values that are each well-formed."""
    corpora, pairs = config["corpora"], []
    for key in ("directions", "further_directions"):
        for entry in config[key]:
            pair = entry["pair"]
            yield from _missing_text(key, pair, entry["corpus"], pair.split("-"), corpora)
            if pair in pairs:
                yield key, f"{pair} is there more than once"
            if len(set(pair.split("-"))) == 1:
                yield key, f"{pair} translates a language into itself"
            pairs.append(pair)
    for name, entry in corpora.items():
        if entry["base"] not in config["bases"]:
            yield f"corpora.{name}.base", f"{entry['base']!r} is not among bases, {sorted(config['bases'])}"
    for name, entry in config["bases"].items():
        yield from _base(f"bases.{name}", name, entry, config, default_layers)
    grid, names = config["grid"], [entry["pair"] for entry in config["directions"]]
    if grid["analysis"] not in names:
        yield "grid.analysis", f"{grid['analysis']} is not among directions"
    if grid["seeds"][0] != config["seed"]:
        yield "grid.seeds", f"{grid['seeds']} must begin with seed, {config['seed']}: it is the one that is timed"
    for system in (BASELINE, OURS):
        if system not in config["systems"]:
            yield "systems", f"{system!r} is missing; the tables need it"
            return
    for name in config["engines"]["transformers"]:
        yield from _transformer(name)
    for number, entry in enumerate(grid["compared"]):
        yield from _compared(f"grid.compared.{number}", entry, config, pairs)
    for setting in ALWAYS_SPELT:
        if setting in config["systems"][OURS]["settings"]:
            where = f"systems.{OURS}.settings.{setting}"
            yield where, f"would change nothing: every run's name says its {setting}, and grid.{setting} the tables'"
    for system, entry in config["systems"].items():
        for option, value in entry["decoding"].items():
            if {"-", "/"} & set(str(value)):
                yield f"systems.{system}.decoding.{option}", f"{value} cannot stand in the name of a decoding"
    if not config["systems"][BASELINE]["decoding"]:
        yield f"systems.{BASELINE}.decoding", "must name an option, as beam; the tables' decoding is called by it"


def _transformer(name: str) -> Iterator[tuple[str, str]]:
    key, example = "engines.transformers", f"{BASELINE}-distilled-encoder_layers=3-decoder_layers=1"
    try:
        system = parse_run(f"xx-xx/{name}").system
    except UserError:
        yield key, f"{name!r} does not name a run without its direction, as {example}"
        return
    if system != BASELINE:
        yield key, f"{name!r} is no {BASELINE}; other systems are named by grid.compared"
    if name == TEACHER:
        yield key, f"{name!r} is there already"


def _compared(
    key: str, entry: dict[str, Any], config: dict[str, Any], pairs: Sequence[str]
) -> Iterator[tuple[str, str]]:
    if entry["system"] not in config["systems"]:
        yield f"{key}.system", f"{entry['system']!r} is not among systems, {sorted(config['systems'])}"
    if entry["system"] in (BASELINE, OURS):
        yield f"{key}.system", f"{entry['system']!r} stands in the tables already"
    for direction in entry.get("directions", []):
        if direction not in pairs:
            yield f"{key}.directions", f"{direction} is not among directions"
    for table in entry["tables"]:
        if table not in TABLES or not TABLES[table].compares:
            known = [name for name, spec in TABLES.items() if spec.compares]
            yield f"{key}.tables", f"{table} compares no systems; these do: {', '.join(known)}"
            continue
        columns = TABLES[table].columns(Grid(config, table))
        if len(entry.get("data", [])) > 1 and not all(column.data for column in columns):
            yield f"{key}.data", f"{table} has no columns for several kinds of data"


def _base(
    key: str, name: str, base: dict[str, Any], config: dict[str, Any], default_layers: int
) -> Iterator[tuple[str, str]]:
    trained = [part for part in IMPORTABLE if not is_imported(base, part)]
    if trained and "text" not in base:
        yield key, "'text' is missing: what are its tokenizer and model trained on?"
        return
    if trained == ["tokenizer"]:
        yield f"{key}.tokenizer.source", "a model from elsewhere has embeddings of its own tokenizer's pieces alone"
        return
    if "text" in base:
        text = base["text"]
        yield from _missing_text(f"{key}.text", "it", text["corpus"], text["languages"], config["corpora"])
        if text["corpus"] in config["corpora"] and config["corpora"][text["corpus"]]["base"] != name:
            yield f"{key}.text", f"corpus {text['corpus']!r} has another base"
    directions = {
        kind: [entry for entry in config[kind] if config["corpora"].get(entry["corpus"], {}).get("base") == name]
        for kind in ("directions", "further_directions")
    }
    if "vocabulary" in base and "tokenizer" in trained:
        yield f"{key}.vocabulary", "a tokenizer that is trained here has its size below tokenizer.vocabulary"
    if base.get("vocabulary") == "corpus" and not any(directions.values()):
        yield f"{key}.vocabulary", "no direction has this base: there is no text to cut its vocabulary to"
    if "mlm" in trained:
        layers = base["mlm"]["shape"].get("layers", default_layers)
    else:
        there = config.get("models", {}).get(base["mlm"]["source"], {}).get("layers")
        layers = base["mlm"].get("layers", there)
        if layers and there and layers > there:
            yield f"{key}.mlm.layers", f"{base['mlm']['source']} has {there} layers, fewer than {layers}"
    if layers and directions["directions"]:
        for grid_key in ("M", "figure2_M"):
            for m in config["grid"][grid_key]:
                if m > layers:
                    yield f"grid.{grid_key}", f"M = {m}, but the model of {key} has {layers} layers"


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
