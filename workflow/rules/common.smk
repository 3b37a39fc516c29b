# The configuration, checked, and what the rules derive from it.
import json
import os
import re
import shlex
import shutil
from pathlib import Path

from snakemake.exceptions import WorkflowError

from xlmd.experiment.configuration import (
    check_config,
    read_definitions,
    resolve_corpora,
)
from xlmd.data.sources import downloads, has_language, located, sources_of
from xlmd.errors import UserError
from xlmd.experiment.points import AUDITED, TABLES, TIMED_IN, points, spell, timed
from xlmd.experiment.layout import TEACHER, Layout, direction_of, system_of
from xlmd.experiment.code_version import code_version

SCHEMAS = Path(workflow.basedir) / "schemas"
try:
    resolve_corpora(config, "resources/corpora.yaml")
    check_config(config, SCHEMAS)
    # {corpus: {file name: {"url": …, "sha256": …}}}
    DOWNLOADS = {
        name: downloads(name, entry)
        for name, entry in config["corpora"].items()
        if entry["kind"] == "files"
    }
except UserError as error:
    raise WorkflowError(str(error)) from None

# A job that computes on a GPU asks for one where there is one, so that two never share it; on a machine without, they run
# side by side as the cores allow. How many there are to give: `--resources gpu=N` (the profile says one). Decided once, in
# the environment, that a cluster's jobs inherit it: XLMD_GPU=1 or 0 says it where this machine is not the one that computes
# (docs/cluster.md).
os.environ.setdefault("XLMD_GPU", str(int(shutil.which("nvidia-smi") is not None)))
GPU = int(config["device"] != "cpu" and os.environ["XLMD_GPU"] == "1")

# Where a file was fetched from does not change it (its sha256 is checked), so the mirror is no parameter of a rule: setting
# one fetches nothing anew.
os.environ.update(XLMD_MIRROR=config["mirror"] or "")


envvars:
    "XLMD_GPU",
    "XLMD_MIRROR",


R = config["results"]
LAYOUT = Layout(config)
RUN = f"{R}/runs/{{direction}}/{{system}}-{{data}}{{overrides}}"
BASE = f"{R}/bases/{{base}}"
DECODING = "[A-Za-z_]+=[^-/]+(-[A-Za-z_]+=[^-/]+)*"

# The tables and figures that this configuration has directions for.
SHOWN = [table for table in TABLES if table != "table3" or config["further_directions"]]

# What the audit tests the paper's claims on.
CLAIM_TABLES = [table for table in AUDITED if table in SHOWN]

# Figure 1 draws the model that Table 10 shows.
MODEL_OF_FIGURE1 = points(config, "table10")[-1].run

# The settings of each system that name a pre-trained model, and whose.
PRETRAINED = {
    name: entry["pretrained"]
    for name, entry in read_definitions(SCHEMAS)["systems"]["properties"].items()
}


wildcard_constraints:
    corpus="[^/]+",
    base="[^/]+",
    split="pretrain|train|dev|test",
    language="[a-z]{2,3}",
    first="[a-z]{2,3}",
    second="[a-z]{2,3}",
    direction="[a-z]{2,3}-[a-z]{2,3}",
    system="|".join(config["systems"]),
    data="original|distilled",
    overrides="(-[A-Za-z_]+=[^-/]+)*",
    decoding=DECODING,
    table="|".join(TABLES),


def built(path):
    """A tokenizer or model that the workflow makes is an input; one that a hub serves is not."""
    return [path] if path.startswith(f"{R}/") else []


def tokenizer(direction):
    return LAYOUT.tokenizer(LAYOUT.base(direction))


def mlm(direction):
    return LAYOUT.mlm(LAYOUT.base(direction))


def base_text(base):
    """{language: text that a base is trained on, below corpora/ or encoded/}."""
    entry = config["bases"][base]["text"]
    return {
        language: f"{entry['corpus']}/monolingual/{entry['split']}.{language}"
        for language in entry["languages"]
    }


def encoded_files(prefix):
    return [f"{prefix}.ids.npy", f"{prefix}.offsets.npy"]


def overrides(name):
    """The settings that a run's name spells: "-M=3-s=2.0" is {"M": "3", "s": "2.0"}."""
    return dict(part.split("=", 1) for part in name.split("-") if part)


def flags(*settings):
    """Settings as command-line flags; later mappings win. In the order of their names, so that
    the order of the keys in a file reruns nothing."""
    merged = {key: value for mapping in settings for key, value in mapping.items()}
    return " ".join(
        f"--{key.replace('_', '-')} {' '.join(shlex.quote(str(one)) for one in (value if isinstance(value, list) else [value]))}"
        for key, value in sorted(merged.items())
        if value is not None and value != []
    )


def needs(rule):
    """Memory and time of a rule's jobs, which a cluster's scheduler is told."""
    return config["resources"][rule]


def trainer(wildcards):
    """How a run is trained: as its system, in its direction, and as its name says."""
    configured = LAYOUT.trainer(wildcards.system, wildcards.direction)
    named = overrides(wildcards.overrides)
    return configured | {
        key: int(named[key]) for key in ("threads", "processes") if key in named
    }


def processes(trainer):
    """Processes of a training run, one a GPU."""
    return trainer.get("processes", 1)


def cores(trainer):
    return trainer["threads"] * processes(trainer)


def pretrained(wildcards):
    """The models that a run starts from, by setting."""
    return {
        setting: LAYOUT.pretrained(whose, wildcards.direction, wildcards.data)
        for setting, whose in PRETRAINED[wildcards.system].items()
    }


def training_flags(wildcards):
    """All settings of a run: the system's of the configuration, then what the run's name says."""
    entry = config["systems"][wildcards.system]
    own = pretrained(wildcards)
    common = {"seed": config["seed"], "device": config["device"]}
    return flags(
        common,
        own,
        entry["settings"],
        trainer(wildcards),
        overrides(wildcards.overrides),
    )


def decodes(*tables):
    """The folder of every decoding that tables show, once."""
    return [f"{R}/runs/{point.path}" for point in points(config, *tables)]


def decoded_together():
    """{(system, part, names of decodings): runs of which they are made in one job}: those that the first table with a run
    shows ("first"), and what other tables show of it and the configuration adds for its system ("more").
    """
    first, names = {}, {}
    for table in SHOWN:
        for point in points(config, table):
            of_run = names.setdefault(point.run, {"first": {}, "more": {}})
            own = first.setdefault(point.run, table) == table
            decoding = spell(point.decoding)
            if decoding not in of_run["first"]:
                of_run["first" if own else "more"][decoding] = None
    together = {}
    for run, parts in names.items():
        further = config["systems"][system_of(run)].get("decodings", [])
        parts["more"] |= {name: None for name in further if name not in parts["first"]}
        for part, shown in parts.items():
            if shown:
                key = (system_of(run), part, *sorted(shown))
                together.setdefault(key, []).append(run)
    return together


def any_of(texts):
    return "|".join(map(re.escape, texts))


def decoding_defaults(*systems):
    """The options of decoding that a name does not spell, as JSON."""
    return json.dumps(
        {name: config["systems"][name]["decoding"] for name in systems}, sort_keys=True
    )


def of_kind(kind):
    """A pattern of the names of all corpora of a kind, one that never matches if there are none."""
    names = [name for name, entry in config["corpora"].items() if entry["kind"] == kind]
    return "|".join(names) or "(?!)"


def held_out(corpus, split, *languages):
    """What training text must not hold: the raw dev and test sets. A phrasebook's splits are disjoint already."""
    described = config["corpora"][corpus]
    if split == "pretrain" and described["kind"] == "files":
        # Text of a language that is in no dev or test set has nothing to be cleared of.
        others = [
            other
            for other in ("dev", "test")
            if all(has_language(described, other, language) for language in languages)
        ]
    else:
        others = ["dev", "test"] if split == "train" else []
    folder = f"{R}/corpora/{corpus}/raw"
    return [
        f"{folder}/{other}.{language}" for other in others for language in languages
    ]


def cleaning(corpus, split):
    """Which pairs of a split are left out, as JSON; of dev and test sets only empty ones."""
    own = config["corpora"][corpus].get("cleaning", {})
    return json.dumps(own if split == "train" else {"held_out": "keep"}, sort_keys=True)


def raw_sources(corpus, split, language):
    """What a raw text is read from, each file as a path."""
    try:
        sources = sources_of(config["corpora"][corpus], split, language)
    except UserError as error:
        raise WorkflowError(f"config, at corpora.{corpus}.splits.{split}: {error}")
    folder = f"{R}/corpora/{corpus}/downloads"
    return [located(source, folder) for source in sources]


DECODE = (
    "xlmd decode --run {params.run} --decodings {params.decodings} --defaults {params.defaults:q}"
    " --tokenizer {params.tokenizer:q} --source {params.source} --max-tokens {params.max_tokens}"
    " --device {params.device} --threads {threads} --code {params.code} 2>&1 | tee {log}"
)


def decode_inputs():
    """What decoding a run reads."""
    return {
        "run": f"{R}/runs/{{run}}/run.json",
        "model": f"{R}/runs/{{run}}/model",
        "source": lambda w: encoded_files(
            LAYOUT.encoded(direction_of(w.run), "test", 0)
        ),
        "tokenizer": lambda w: built(tokenizer(direction_of(w.run))),
    }


def decode_params():
    return {
        "run": lambda w, input: Path(input.run).parent,
        "defaults": lambda w: decoding_defaults(system_of(w.run)),
        "source": lambda w: LAYOUT.encoded(direction_of(w.run), "test", 0),
        "tokenizer": lambda w: tokenizer(direction_of(w.run)),
        "max_tokens": config["decoding"]["max_tokens"],
        "device": config["device"],
        "code": lambda w: code_version("decode", [f"xlmd.systems.{system_of(w.run)}"]),
    }


def table_inputs(table):
    """What a table is made from: translations, their scores, and the records that its provenance follows."""
    shown = points(config, table)
    directions = list(dict.fromkeys(point.direction for point in shown))
    bases = {LAYOUT.base(direction) for direction in directions}
    return {
        "scores": [f"{folder}/test.score.json" for folder in decodes(table)],
        "corpora": sorted(
            {
                LAYOUT.counts(direction, split)
                for direction in directions
                for split in ("train", "dev", "test")
            }
        ),
        "upstream": [
            *sorted({f"{R}/runs/{point.run}/run.json" for point in shown}),
            *(f"{R}/distilled/{d}/distillation.json" for d in directions),
            *(
                f"{R}/bases/{base}/mlm/run.json"
                for base in sorted(bases)
                if built(LAYOUT.mlm(base))
            ),
        ],
        "latency": timings(table),
        "texts": (
            [
                *(f"{folder}/test.txt" for folder in decodes(table)),
                *(LAYOUT.text(d, "test", side) for d in directions for side in (0, 1)),
            ]
            if table == "table11"
            else []
        ),
        "paper": (
            [f"resources/paper/{table}.csv"]
            if table not in ("table11", "figure2")
            else []
        ),
        "protocols": (
            ["resources/paper/protocols.csv"]
            if table in ("table1", "table2", "table10")
            else []
        ),
    }


def made_files(table):
    """The result files of a table or figure that others read."""
    return [f"{R}/{table}.csv", *timings(table)]


def timings(table):
    return [f"{R}/latency/{TIMED_IN[table]}.json"] if table in TIMED_IN else []
