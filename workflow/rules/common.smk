# The configuration, checked, and what the rules derive from it.
import json
import os
import re
import shutil
from pathlib import Path

from snakemake.exceptions import WorkflowError

from xlmd.data.sources import downloads
from xlmd.errors import UserError
from xlmd.experiment import jobs, names
from xlmd.experiment.code_version import code_version
from xlmd.experiment.configuration import (
    check_config,
    is_imported,
    read_definitions,
    resolve_corpora,
    resolve_models,
)
from xlmd.experiment.layout import TEACHER, Layout
from xlmd.experiment.run_settings import RunSettings, as_flags
from xlmd.experiment.tables import TABLES, in_engines, points, shown, timed

try:
    resolve_corpora(config)
    resolve_models(config)
    check_config(config)
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
# Nor is the device, which decides nothing but rounding: on another one, nothing is trained anew. Only what is timed is.
os.environ.update(XLMD_MIRROR=config["mirror"] or "", XLMD_DEVICE=config["device"])


envvars:
    "XLMD_DEVICE",
    "XLMD_GPU",
    "XLMD_MIRROR",


R = config["results"]
LAYOUT = Layout(config)
RUN = f"{R}/runs/{{direction}}/{{system}}-{{data}}{{overrides}}"
BASE = f"{R}/bases/{{base}}"

# The tables and figures that this configuration has directions for.
SHOWN = shown(config)

# How each run is trained, by its name.
RUN_SETTINGS = RunSettings(config, read_definitions())


def run_of(wildcards):
    """The run that a folder's name names; what it says that nobody knows ends the workflow before anything runs."""
    try:
        return RUN_SETTINGS.find(
            f"{wildcards.direction}/{wildcards.system}-{wildcards.data}{wildcards.overrides}"
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None


def checked_decoding(system, name):
    """A decoding's name, if its system knows all that it says; if not, the workflow ends before anything runs."""
    try:
        RUN_SETTINGS.check_decoding(system, name)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    return name


wildcard_constraints:
    corpus="[^/]+",
    base="[^/]+",
    split="pretrain|train|dev|test",
    language=names.LANGUAGE,
    first=names.LANGUAGE,
    second=names.LANGUAGE,
    direction=names.DIRECTION,
    system="|".join(config["systems"]),
    data="|".join(names.DATA),
    overrides=names.OVERRIDES,
    decoding=names.DECODING,
    table="|".join(TABLES),


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


def any_of(texts):
    """A pattern that matches each text and nothing else; nothing at all if there are none."""
    return "|".join(map(re.escape, texts)) or "(?!)"


def bases_with(part, imported):
    """A pattern of the names of all bases whose "tokenizer" or "mlm" is imported, or is trained here."""
    return any_of(
        name
        for name, base in config["bases"].items()
        if is_imported(base, part) == imported
    )


def of_kind(kind):
    """A pattern of the names of all corpora of a kind."""
    return any_of(
        name for name, entry in config["corpora"].items() if entry["kind"] == kind
    )


def raw_sources(corpus, split, language):
    """What a raw text is read from."""
    try:
        return jobs.raw_sources(LAYOUT, corpus, split, language)
    except UserError as error:
        raise WorkflowError(f"config, at corpora.{corpus}.splits.{split}: {error}")


def flags(*settings):
    """Settings as command-line flags; later mappings win. In the order of their names, so that
    the order of the keys in a file reruns nothing."""
    merged = {key: value for mapping in settings for key, value in mapping.items()}
    return as_flags(dict(sorted(merged.items())))


def needs(rule):
    """Memory and time of a rule's jobs, which a cluster's scheduler is told."""
    return config["resources"][rule]


def processes(trainer):
    """Processes of a training run, one a GPU."""
    return trainer.get("processes", 1)


def cores(trainer):
    return trainer["threads"] * processes(trainer)


def every_core(wildcards):
    """All cores that Snakemake may use; where it is not to run anything, as for --summary, nobody has said how many."""
    try:
        return workflow.cores
    except WorkflowError:
        return 1


def decodes(tables):
    """The folder of every decoding that tables show, once."""
    return [LAYOUT.run(point.path) for point in points(config, *tables)]


def decoding_defaults(*systems):
    """The options of decoding that a name does not spell, as JSON."""
    return json.dumps(
        {name: config["systems"][name]["decoding"] for name in systems}, sort_keys=True
    )
