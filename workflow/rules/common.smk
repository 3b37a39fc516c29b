# The configuration, checked, and what the rules derive from it.
import json
import shlex
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

from xlmd.reporting.code import code_version


def check_config(config):
    """Stop at once on an unknown key or a bad value, naming it."""
    folder = Path(workflow.basedir) / "schemas"
    schema = yaml.safe_load((folder / "config.schema.yaml").read_text())
    schema["$defs"] = yaml.safe_load((folder / "settings.schema.yaml").read_text())
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if errors:
        worst = jsonschema.exceptions.best_match(errors)
        key = ".".join(map(str, worst.absolute_path)) or "(top level)"
        raise WorkflowError(f"config, at {key}: {worst.message}")
    for entry in config["directions"]:
        if entry["corpus"] not in config["corpora"]:
            raise WorkflowError(
                f"config, at directions: {entry['pair']} wants corpus {entry['corpus']!r}; "
                f"corpora has {sorted(config['corpora'])}"
            )
    if config["latency"]["direction"] not in DIRECTIONS:
        raise WorkflowError(
            f"config, at latency.direction: {config['latency']['direction']} is not among directions"
        )
    layers = config["mlm"]["shape"].get("layers", 12)
    for m in config["table1"]["M"]:
        if config["mlm"]["source"] == "pretrain" and m > layers:
            raise WorkflowError(
                f"config, at table1.M: M = {m}, but the model has {layers} layers"
            )


DIRECTIONS = {entry["pair"]: entry["corpus"] for entry in config["directions"]}
check_config(config)

R = config["results"]
RUN = f"{R}/runs/{{direction}}/{{system}}-{{data}}{{overrides}}"
TOKENIZER = (
    f"{R}/tokenizer"
    if config["tokenizer"]["source"] == "train"
    else config["tokenizer"]["source"]
)
MLM = (
    f"{R}/mlm/model"
    if config["mlm"]["source"] == "pretrain"
    else config["mlm"]["source"]
)


DECODING = "[A-Za-z_]+=[^-/]+(-[A-Za-z_]+=[^-/]+)*"


wildcard_constraints:
    corpus="[^/]+",
    split="pretrain|train|dev|test",
    language="[a-z]{2,3}",
    first="[a-z]{2,3}",
    second="[a-z]{2,3}",
    direction="[a-z]{2,3}-[a-z]{2,3}",
    system="[a-z_]+",
    data="original|distilled",
    overrides="(-[A-Za-z_]+=[^-/]+)*",
    decoding=DECODING,


def built(path):
    """A tokenizer or model that the workflow makes is an input; one that a hub serves is not."""
    return [path] if path.startswith(f"{R}/") else []


def languages(direction):
    return direction.split("-")


def pair(direction):
    return "-".join(sorted(languages(direction)))


def corpus(direction):
    """The corpus of a direction, in the grid or not (the first that has both languages)."""
    if direction in DIRECTIONS:
        return DIRECTIONS[direction]
    for name, entry in config["corpora"].items():
        if set(languages(direction)) <= set(entry["languages"]):
            return name
    raise WorkflowError(
        f"no corpus in the configuration has both languages of {direction}"
    )


def text(direction, split, side, raw=False):
    """Path of one side (0: source, 1: target) of a direction's split."""
    language = languages(direction)[side]
    return f"{R}/corpora/{corpus(direction)}/{pair(direction)}/{split}.{'raw.' if raw else ''}{language}"


def encoded(direction, split, side):
    """Path, without its suffixes, of the encoded side of a split."""
    return text(direction, split, side).replace(f"{R}/corpora/", f"{R}/encoded/", 1)


def encoded_files(prefix):
    return [f"{prefix}.ids.npy", f"{prefix}.offsets.npy"]


def training_data(direction, data):
    """The encoded training pairs of a run: as they are in the corpus, or with the teacher's translations."""
    if data == "distilled":
        return [
            f"{R}/distilled/{direction}/train.{side}" for side in ("source", "target")
        ]
    return [encoded(direction, "train", side) for side in (0, 1)]


def overrides(name):
    """The settings that a run's name spells: "-M=3-s=2.0" is {"M": "3", "s": "2.0"}."""
    return dict(part.split("=", 1) for part in name.split("-") if part)


def flags(*settings):
    """Settings as command-line flags; later mappings win."""
    merged = {key: value for mapping in settings for key, value in mapping.items()}
    return " ".join(
        f"--{key.replace('_', '-')} {shlex.quote(str(value))}"
        for key, value in merged.items()
        if value is not None
    )


def run_name(system, data, **settings):
    return f"{system}-{data}" + "".join(
        f"-{key}={value}" for key, value in settings.items()
    )


def decode_name(**options):
    return "-".join(f"{key}={value}" for key, value in options.items())


def training_flags(wildcards):
    """All settings of a run: the system's of the configuration, then what the run's name says."""
    entry = config["systems"][wildcards.system]
    own = {"mlm": MLM} if wildcards.system == "xlmd" else {}
    common = {"seed": config["seed"], "device": config["device"]}
    return flags(
        common, own, entry["settings"], entry["trainer"], overrides(wildcards.overrides)
    )


def table1_decodes():
    """(direction, run, decoding) of every measured cell of Table 1."""
    entry = config["table1"]
    beam = decode_name(beam=config["systems"]["transformer"]["decoding"]["beam"])
    for direction in DIRECTIONS:
        yield direction, run_name("transformer", "original"), beam
        for m in entry["M"]:
            for iterations in entry["iterations"]:
                yield direction, run_name(
                    "xlmd", "distilled", M=m, s=entry["s"]
                ), decode_name(iterations=iterations)


def timed_cells():
    """The decodings that are timed: all of Table 1 in one direction, and the Transformer in CTranslate2."""
    timed = config["latency"]["direction"]
    cells = [
        f"{R}/runs/{d}/{run}/decodes/{decoding}"
        for d, run, decoding in table1_decodes()
        if d == timed
    ]
    return [*cells, f"{R}/runs/{timed}/{TEACHER}/decodes/engine=ctranslate2"]


def grid_decodings(system):
    """The names of the decodings of a system that the tables show."""
    if system == "xlmd":
        return [decode_name(iterations=t) for t in config["table1"]["iterations"]]
    return [decode_name(beam=config["systems"][system]["decoding"]["beam"])]


def decode_outputs(decodings):
    return [
        f"{RUN}/decodes/{name}/test.{suffix}"
        for name in decodings
        for suffix in ("txt", "json")
    ]


def table_files(table):
    return [f"{R}/{table}.csv", f"{R}/{table}.md", f"{R}/provenance/{table}.json"]


def of_kind(kind):
    """A pattern of the names of all corpora of a kind, one that never matches if there are none."""
    names = [name for name, entry in config["corpora"].items() if entry["kind"] == kind]
    return "|".join(names) or "(?!)"


def files_entry(wildcards):
    """Where a downloaded file of a corpus comes from."""
    files = config["corpora"][wildcards.corpus]["files"]
    name = f"{wildcards.split}.{wildcards.language}"
    if name not in files:
        raise WorkflowError(
            f"config, at corpora.{wildcards.corpus}.files: no entry for {name}"
        )
    return files[name]


def pretraining_text(language):
    entry = config["pretraining_text"]
    return f"{entry['corpus']}/monolingual/{entry['split']}.{language}"


TEACHER = run_name("transformer", "original")
PRETRAINING_LANGUAGES = config["pretraining_text"]["languages"]
GRID_DECODINGS = {system: grid_decodings(system) for system in config["systems"]}
DEFAULTS = json.dumps(
    {system: entry["decoding"] for system, entry in config["systems"].items()}
)
TIMED_CELLS = timed_cells()
TABLE1_CELLS = [
    f"{R}/runs/{d}/{run}/decodes/{decoding}/test"
    for d, run, decoding in table1_decodes()
]
TRAINED = list(
    dict.fromkeys(f"{R}/runs/{d}/{run}/run.json" for d, run, _ in table1_decodes())
)
TRAINED += [f"{R}/mlm/run.json"] if config["mlm"]["source"] == "pretrain" else []
