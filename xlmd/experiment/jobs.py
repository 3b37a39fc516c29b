"""What jobs of the workflow read, and what they make together, where that takes more than a path."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xlmd.data.sources import has_language, located, sources_of
from xlmd.experiment.layout import Layout
from xlmd.experiment.names import parse_run
from xlmd.experiment.tables import TABLES, points, shown
from xlmd.files import RESOURCES
from xlmd.pretrained import registry
from xlmd.pretrained.registry import Source


def raw_sources(layout: Layout, corpus: str, split: str, language: str) -> list[dict[str, Any]]:
    """What a raw text is read from, each file as a path. Raises UserError if the corpus does not describe it."""
    sources = sources_of(layout.config["corpora"][corpus], split, language)
    return [located(source, layout.downloads(corpus)) for source in sources]


def held_out(layout: Layout, corpus: str, split: str, *languages: str) -> list[str]:
    """What training text must not hold: the raw dev and test sets. A phrasebook's splits are disjoint already."""
    described, others = layout.config["corpora"][corpus], ["dev", "test"]
    if split == "pretrain" and described["kind"] == "files":
        # Text of a language that is in no dev or test set has nothing to be cleared of.
        others = [other for other in others if all(has_language(described, other, one) for one in languages)]
    elif split != "train":
        others = []
    return [layout.raw(corpus, other, language) for other in others for language in languages]


def cleaning(config: dict[str, Any], corpus: str, split: str) -> dict[str, Any]:
    """Which pairs of a split are left out; of dev and test sets only empty ones."""
    return config["corpora"][corpus].get("cleaning", {}) if split == "train" else {"held_out": "keep"}


def package_sources(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{file name: package} of the packages that the models of a configuration come in."""
    return {model["package"]["file"]: model["package"] for model in config["models"].values() if "package" in model}


def source_of(layout: Layout, base: str, part: str) -> str:
    """Where a base's "tokenizer" or "mlm" is imported from: a `Source`, as JSON."""
    return json.dumps({key: value for key, value in asdict(_source(layout, base, part)).items() if value is not None})


def source_files(layout: Layout, base: str, part: str) -> list[str]:
    """The files or folders that it is imported from; none where the hub has it."""
    return _source(layout, base, part).files


def _source(layout: Layout, base: str, part: str) -> Source:
    entry = layout.config["bases"][base][part]
    return registry.source_of(layout.config["models"], entry["source"], entry.get("via"), layout.packages)


def vocabulary_texts(layout: Layout, base: str, splits: Sequence[str]) -> list[str]:
    """The cleaned texts, of these splits, of each listed direction that starts from a base; none if it is not cut."""
    if layout.config["bases"][base].get("vocabulary", "full") == "full":
        return []
    listed = [direction for direction in layout.directions if layout.base(direction) == base]
    return sorted({layout.text(direction, split, side) for direction in listed for split in splits for side in (0, 1)})


def decoded_together(config: dict[str, Any]) -> dict[tuple[str, ...], list[str]]:
    """{(system, part, names of decodings): runs of which they are made in one job}.

    Part "first" is what the first table with a run shows of it, "more" what other tables show and what the
    configuration adds for its system.
    """
    first: dict[str, str] = {}
    decodings: dict[str, dict[str, dict[str, None]]] = {}
    for spec in shown(config):
        for point in points(config, spec.name):
            of_run = decodings.setdefault(point.run, {"first": {}, "more": {}})
            own = first.setdefault(point.run, spec.name) == spec.name
            if point.decoding_name not in of_run["first"]:
                of_run["first" if own else "more"][point.decoding_name] = None
    together: dict[tuple[str, ...], list[str]] = {}
    for run, parts in decodings.items():
        system = parse_run(run).system
        further = config["systems"][system].get("decodings", [])
        parts["more"] |= {name: None for name in further if name not in parts["first"]}
        for part, found in parts.items():
            if found:
                together.setdefault((system, part, *sorted(found)), []).append(run)
    return together


def timings(layout: Layout, table: str) -> list[str]:
    """The file with the times of a table's systems, if it shows any."""
    job = TABLES[table].timed_by
    return [layout.latency(job)] if job else []


def paper_table(name: str) -> str:
    """What the paper prints in a table, or says of the protocols (CSV)."""
    path = RESOURCES / "paper" / f"{name}.csv"
    # By its place in the checkout, if the workflow runs there, so that a moved one makes no table anew.
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def trainings(layout: Layout, table: str) -> list[str]:
    """The folders of what is trained for a table: its runs, and the masked language models that are not imported."""
    found, bases = points(layout.config, table), layout.config["bases"]
    used = {layout.base(point.direction) for point in found}
    pretrained = sorted(base for base in used if bases[base]["mlm"]["source"] == "pretrain")
    return [
        *sorted({layout.run(point.run) for point in found}),
        *(f"{layout.root}/bases/{base}/mlm" for base in pretrained),
    ]


def table_inputs(layout: Layout, table: str) -> dict[str, list[str]]:
    """What a table is made from: translations, their scores, and the records that its provenance follows."""
    spec, found = TABLES[table], points(layout.config, table)
    directions = list(dict.fromkeys(point.direction for point in found))
    decodes = [layout.run(point.path) for point in found]
    bases = sorted({layout.base(direction) for direction in directions})
    case = spec.form == "case"
    return {
        "scores": [f"{folder}/test.score.json" for folder in decodes],
        "corpora": sorted(
            {layout.counts(direction, split) for direction in directions for split in ("train", "dev", "test")}
        ),
        "upstream": [
            *sorted({f"{layout.run(point.run)}/run.json" for point in found}),
            *(f"{layout.distilled(direction)}/distillation.json" for direction in directions),
            *(f"{layout.root}/bases/{base}/mlm/run.json" for base in bases),
        ],
        "latency": timings(layout, table),
        "translations": [f"{folder}/test.txt" for folder in decodes] if case else [],
        "texts": [layout.text(d, "test", side) for d in directions for side in (0, 1)] if case else [],
        "paper": [paper_table(name) for name in spec.paper],
        "protocols": [paper_table("protocols")] if spec.protocols else [],
    }
