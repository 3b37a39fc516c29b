# The configuration, checked, and what the rules derive from it.
import json
import os
import re
import shlex
import shutil
from pathlib import Path

from snakemake.exceptions import WorkflowError

from xlmd.configuration import BASELINE, OURS, check_config, read_definitions
from xlmd.errors import UserError
from xlmd.reporting.code import code_version

SCHEMAS = Path(workflow.basedir) / "schemas"
try:
    check_config(config, SCHEMAS)
except UserError as error:
    raise WorkflowError(str(error)) from None

DIRECTIONS = {entry["pair"]: entry["corpus"] for entry in config["directions"]}

# A job that computes on a GPU asks for one where there is one, so that two never share it; on a machine without, they run
# side by side as the cores allow. How many there are to give: `--resources gpu=N` (the profile says one).
GPU = int(config["device"] != "cpu" and shutil.which("nvidia-smi") is not None)

# Where a file was fetched from does not change it (its sha256 is checked), so the mirror is no parameter of a rule: setting
# one fetches nothing anew.
os.environ.update(XLMD_MIRROR=config["mirror"] or "")


envvars:
    "XLMD_MIRROR",


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


# The settings of each system that name a pre-trained model.
PRETRAINED = {
    name: entry["pretrained"]
    for name, entry in read_definitions(SCHEMAS)["systems"]["properties"].items()
}
DECODING = "[A-Za-z_]+=[^-/]+(-[A-Za-z_]+=[^-/]+)*"


wildcard_constraints:
    corpus="[^/]+",
    split="pretrain|train|dev|test",
    language="[a-z]{2,3}",
    first="[a-z]{2,3}",
    second="[a-z]{2,3}",
    direction="[a-z]{2,3}-[a-z]{2,3}",
    system="|".join(config["systems"]),
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
    """Settings as command-line flags; later mappings win. In the order of their names, so that
    the order of the keys in a file reruns nothing."""
    merged = {key: value for mapping in settings for key, value in mapping.items()}
    return " ".join(
        f"--{key.replace('_', '-')} {shlex.quote(str(value))}"
        for key, value in sorted(merged.items())
        if value is not None
    )


def run_name(system, data, **settings):
    return f"{system}-{data}" + "".join(
        f"-{key}={value}" for key, value in settings.items()
    )


def decode_name(**options):
    return "-".join(f"{key}={value}" for key, value in sorted(options.items()))


def training_flags(wildcards):
    """All settings of a run: the system's of the configuration, then what the run's name says."""
    entry = config["systems"][wildcards.system]
    own = {setting: MLM for setting in PRETRAINED[wildcards.system]}
    common = {"seed": config["seed"], "device": config["device"]}
    return flags(
        common, own, entry["settings"], entry["trainer"], overrides(wildcards.overrides)
    )


def table1_decodes():
    """(direction, system, run, decoding) of every measured cell of Table 1."""
    entry = config["table1"]
    baseline = decode_name(**config["systems"][BASELINE]["decoding"])
    for direction in DIRECTIONS:
        yield direction, BASELINE, TEACHER, baseline
        for m in entry["M"]:
            run = run_name(OURS, "distilled", M=m, s=entry["s"])
            for iterations in entry["iterations"]:
                yield direction, OURS, run, decode_name(iterations=iterations)


def timed_cells():
    """The decodings that are timed: all of Table 1 in one direction, and the Transformer in CTranslate2."""
    timed = config["latency"]["direction"]
    cells = [
        f"{R}/runs/{d}/{run}/decodes/{decoding}"
        for d, _, run, decoding in TABLE1_DECODES
        if d == timed
    ]
    return [*cells, f"{R}/runs/{timed}/{TEACHER}/decodes/engine=ctranslate2"]


def grid_decodings(system):
    """The names of the decodings made of each run of a system: those that tables show, and what the configuration adds."""
    shown = [decoding for _, name, _, decoding in TABLE1_DECODES if name == system]
    return list(dict.fromkeys(shown + config["systems"][system].get("decodings", [])))


def not_in_grid():
    """A pattern of the systems that the rest of a path lets pass: no decoding that the system's own rule makes."""
    own = [
        f"{system}-[^/]+/decodes/({'|'.join(map(re.escape, names))})/"
        for system, names in GRID_DECODINGS.items()
    ]
    return f"(?!{'|'.join(own)})({'|'.join(config['systems'])})"


def decoding_defaults(*systems):
    """The options of decoding that a name does not spell, as JSON."""
    return json.dumps(
        {name: config["systems"][name]["decoding"] for name in systems}, sort_keys=True
    )


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


TEACHER = run_name(BASELINE, "original")
TABLE1_DECODES = list(table1_decodes())
TABLE1_CELLS = [
    f"{R}/runs/{d}/{run}/decodes/{decoding}/test"
    for d, _, run, decoding in TABLE1_DECODES
]
TIMED_CELLS = timed_cells()
TIMED_SYSTEMS = sorted({system for _, system, _, _ in TABLE1_DECODES})
GRID_DECODINGS = {
    system: names for system in config["systems"] if (names := grid_decodings(system))
}
PRETRAINING_LANGUAGES = config["pretraining_text"]["languages"]
MLM_RECORDS = [f"{R}/mlm/run.json"] if config["mlm"]["source"] == "pretrain" else []
TRAINED = [
    *dict.fromkeys(f"{R}/runs/{d}/{run}/run.json" for d, _, run, _ in TABLE1_DECODES),
    *MLM_RECORDS,
]
UPSTREAM = [*MLM_RECORDS, *(f"{R}/distilled/{d}/distillation.json" for d in DIRECTIONS)]
