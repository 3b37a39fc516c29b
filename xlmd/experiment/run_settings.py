"""How a run of the workflow is trained: its settings and files, by its name and the configuration.

The rule `train` and `xlmd train RUN-NAME` both ask here, so that a run trained by hand is the workflow's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from xlmd.errors import UserError
from xlmd.experiment.configuration import check_config, layers_of, read_config, resolve_corpora, resolve_models
from xlmd.experiment.layout import Layout
from xlmd.experiment.names import DEV, RunName, join_options, parse_decoding, parse_run
from xlmd.options import parse

_TYPES = {"boolean": bool, "integer": int, "number": float, "string": str}
_TWICE = "it says the same key more than once"


def load_config(paths: Sequence[str | Path]) -> dict[str, Any]:
    """The configuration that Snakemake has of the same files: later ones overlay earlier ones, key by key.

    Raises UserError naming a file that cannot be read, or the key at fault.
    """
    config: dict[str, Any] = {}
    for path in paths:
        config = _overlaid(config, read_config(path))
    resolve_corpora(config)
    resolve_models(config)
    check_config(config)
    return config


def _overlaid(below: Any, above: Any) -> Any:
    if not isinstance(above, Mapping) or not isinstance(below, Mapping):
        return above
    return {**below, **{key: _overlaid(below.get(key), value) for key, value in above.items()}}


class RunSettings:
    """The settings and files of every run that one configuration can name.

    definitions: those of the schema of all settings (`xlmd.experiment.configuration.read_definitions`).
    """

    def __init__(self, config: dict[str, Any], definitions: dict[str, Any]) -> None:
        self.config, self.layout = config, Layout(config)
        self._definitions = definitions

    def find(self, name: str) -> RunName:
        """The run of a name, "en-de/xlmd-distilled-M=2-s=2.0" or its folder.

        Raises UserError if this is no name of a run, or names a system that the configuration does not have, a setting
        or value that the system does not have, or a setting twice.
        """
        root = f"{self.layout.root}/runs/"
        own = name.removeprefix("./").removeprefix(root).rstrip("/")
        try:
            run = parse_run(own)
        except UserError as error:
            raise UserError(f"{error}, as en-de/xlmd-distilled-M=2-s=2.0, or its folder below {root}") from None
        if run.name != own:
            raise UserError(f"run {own}: {_TWICE}")
        self.check(run)
        return run

    def check(self, run: RunName) -> None:
        """Raise UserError if a run's name says what the configuration or the system does not know."""
        systems = self.config["systems"]
        if run.system not in systems:
            raise UserError(f"run {run.name}: system {run.system!r} is not among systems, {', '.join(systems)}")
        self.layout.corpus(run.direction)
        known = {
            name: entry
            for kind in (f"{run.system}.settings", "trainer")
            for name, entry in self._definitions[kind]["properties"].items()
        }
        _check_texts(f"run {run.name}", f"{run.system} has no setting", run.overrides, known)
        if "M" in run.overrides and "mlm" not in run.overrides:
            base = self.layout.base(run.direction)
            layers = layers_of(self.config, base, self._definitions["mlm"]["properties"]["layers"]["default"])
            if layers and int(run.overrides["M"]) > layers:
                raise UserError(
                    f"run {run.name}: M = {run.overrides['M']}, but the model of bases.{base} has {layers} layers"
                )

    def check_decoding(self, system: str, name: str) -> None:
        """Raise UserError if a decoding's name says what the system does not know, or an option twice."""
        if system not in self.config["systems"]:
            raise UserError(f"decoding {name}: {system!r} is not among systems, {', '.join(self.config['systems'])}")
        options = parse_decoding(name)
        if join_options(tuple(options.items())) != name:
            raise UserError(f"decoding {name}: {_TWICE}")
        given = {key: text for key, text in options.items() if text != DEV}
        known = self._definitions[f"{system}.decoding"]["properties"]
        _check_texts(f"decoding {name}", f"{system} has no option", given, known)

    def trainer(self, run: RunName) -> dict[str, Any]:
        """How it is trained: as its system, in its direction, and, of what a job asks for, as its name says."""
        named = {key: int(run.overrides[key]) for key in ("threads", "processes") if key in run.overrides}
        return self.layout.trainer(run.system, run.direction) | named

    def settings(self, run: RunName) -> dict[str, Any]:
        """All settings of a run but the device, in alphabetical order: the configuration's, then what its name says.

        The device is left out because the workflow trains a run anew when these change, and it decides nothing but
        rounding.
        """
        pretrained = {
            name: self.layout.pretrained(whose, run.direction, run.data)
            for name, whose in self._of_system(run, "pretrained").items()
        }
        merged = (
            {"seed": self.config["seed"]}
            | pretrained
            | self.config["systems"][run.system]["settings"]
            | self.trainer(run)
            | dict(run.overrides)
        )
        return dict(sorted(merged.items()))

    def files(self, run: RunName) -> dict[str, Any]:
        """What it reads and writes, as `xlmd.train.run.TrainFiles` has it; an encoded text without its suffixes."""
        layout = self.layout
        source, target = layout.training_data(run.direction, run.data)
        further = [layout.training_data(run.direction, data) for data in self._of_system(run, "further_data")]
        return {
            "direction": run.direction,
            "tokenizer": layout.tokenizer(layout.base(run.direction)),
            "source": source,
            "target": target,
            "further_source": [source for source, _ in further],
            "further_target": [target for _, target in further],
            "dev_source": layout.encoded(run.direction, "dev", 0),
            "dev_reference": layout.text(run.direction, "dev", 1),
            "out": f"{layout.root}/runs/{run.name}",
            "tokenize": self.config["preprocessing"]["tokenize"],
            "romanian": self.config["preprocessing"]["romanian"],
        }

    def inputs(self, run: RunName) -> list[str]:
        """The files and folders that the workflow makes for it, each a target of Snakemake."""
        files = self.files(run)
        encoded = [files["source"], files["target"], *files["further_source"], *files["further_target"]]
        encoded.append(files["dev_source"])
        models = [files["tokenizer"], *(self.settings(run)[name] for name in self._of_system(run, "pretrained"))]
        return [
            *(f"{prefix}.{part}.npy" for prefix in encoded for part in ("ids", "offsets")),
            files["dev_reference"],
            # A run's name may set a model from elsewhere, or none.
            *(path for path in models if path and path.startswith(f"{self.layout.root}/")),
        ]

    def _of_system(self, run: RunName, name: str) -> Any:
        """What its system says of itself, as `pretrained`: see `xlmd.systems.System`."""
        return self._definitions["systems"]["properties"][run.system][name]


def _check_texts(where: str, lacks: str, texts: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Raise UserError naming the first option in a name that is not `known`, by the schema, or whose value is wrong."""
    for key, text in texts.items():
        if key not in known:
            raise UserError(f"{where}: {lacks} {key!r}; it has: {', '.join(known)}")
        value = parse(f"{where}: {key}", text, _hint(known[key]))
        least = known[key].get("minimum")
        if least is not None and value is not None and value < least:
            raise UserError(f"{where}: {key} = {text}: must be at least {least}")


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as command-line flags, in their order; None and empty lists are left out."""
    flags = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        if values:
            flags += [f"--{name.replace('_', '-')}", *map(str, values)]
    return flags


def _hint(entry: Mapping[str, Any]) -> Any:
    """The Python type of a setting, from its schema."""
    if "enum" in entry:
        return Literal[tuple(entry["enum"])]
    kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    (kind,) = (_TYPES[name] for name in kinds if name != "null")
    return kind | None if "null" in kinds else kind
