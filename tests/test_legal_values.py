"""What the schema allows reaches the tables: every key at its smallest, and names that a shell would take apart."""

import contextlib
import csv
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from xlmd.experiment.configuration import config_schema
from xlmd.experiment.tables import TABLES, cells, in_engines
from xlmd.reporting.explain import explain

ROOT = Path(__file__).parents[1]
CORPUS, BASE, RESULTS = "c++ news(2016), 1", "big |west", "my (runs)/r+ $HOME's"

# What cannot be smallest by itself: it must suit the text, or another key.
SUITED = {
    "sizes": {"pretrain": 400, "train": 300, "dev": 1, "test": 1},  # a tokenizer and a teacher are trained on them
    "vocabulary": 400,
    "max_tokens": 100,  # the longest line
    "max_positions": 512,
    "d_model": 32,  # a multiple of heads, the same below and above the decorator
    "max_length": 250,  # a teacher that learnt nothing writes long lines
    "max_ratio": 12,
    "languages": ["de", "en"],
    "table7_iterations": [1, 2, 4],  # the paper's, all of whose figures are looked for
    "compared": [
        {"system": "cmlm", "tables": ["table4"], "decodings": ["iterations=1"]},
        {"system": "glat", "tables": ["table2"], "decodings": ["length_beam=1"]},
    ],
}


def micro():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / "tests/micro.yaml").read_text()))
    return config


def smallest(value, schema, definitions):
    """`value` with every number below it that has a minimum at that, and every list as short as it may be."""
    schema = schema | definitions.get(schema.get("$ref", "").removeprefix("#/$defs/"), {})
    if "minimum" in schema:
        return schema["minimum"]
    if isinstance(value, list) and "items" in schema:
        least = schema["items"].get("minimum")
        return [item if least is None else least for item in value][: schema.get("minItems", 0)]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    given = {name: value.get(name) for name, entry in known.items() if name in value or "minimum" in entry}
    other = schema.get("additionalProperties")
    others = {name: smallest(inner, other or {}, definitions) for name, inner in value.items() if name not in known}
    return others | {
        name: SUITED[name] if name in SUITED else smallest(inner, known[name], definitions)
        for name, inner in given.items()
    }


def awkward(config):
    """The micro configuration of one base, under names that need quoting."""
    corpus, base = config["corpora"]["phrasebook"], config["bases"]["west"]
    base["text"]["corpus"] = CORPUS
    return config | {
        "results": RESULTS,
        "corpora": {CORPUS: corpus | {"base": BASE}},
        "bases": {BASE: base},
        "directions": [entry | {"corpus": CORPUS} for entry in config["directions"]],
    }


def legal():
    own = micro()
    schema = config_schema()
    config = smallest(awkward(own), schema, schema["$defs"])
    config["corpora"][CORPUS]["sizes"] = SUITED["sizes"]
    config["resources"] = own["resources"]
    # A teacher that learnt nothing leaves nothing to distil.
    config["systems"]["transformer"] |= {key: own["systems"]["transformer"][key] for key in ("settings", "trainer")}
    for spelt in ("M", "s"):
        del config["systems"]["xlmd"]["settings"][spelt]
    return config


def snakemake(folder, *arguments):
    command = ["snakemake", "--directory", folder, "--snakefile", folder / "workflow/Snakefile", *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder in which all tables of the smallest legal values were made."""
    folder = tmp_path_factory.mktemp("a folder")
    (folder / "workflow").symlink_to(ROOT / "workflow")
    (folder / "config.yaml").write_text(yaml.safe_dump(legal(), sort_keys=False))
    snakemake(folder, "--cores", "2", "all")
    return folder


@pytest.fixture
def results(made):
    return made / RESULTS


def test_the_smallest_legal_values_under_awkward_names_reach_every_table_and_no_cell_is_missing(results):
    config = yaml.safe_load((results / "config.yaml").read_text())
    shown = [table for table in TABLES if table != "table3"]  # micro has no further directions
    for table in shown:
        record = json.loads((results / f"provenance/{table}.json").read_text())
        cells = [cell for cell in record["cells"] if cell["table"] == table and cell["column"] != "speedup"]
        expected = len(points_of(config, table))
        if table == "table7":
            lengths = read_csv(results / "table7.csv")
            expected *= sum(int(row["sentences"]) > 0 for row in lengths)
        if table == "figure2":
            assert len(cells) == expected
        elif table == "latency":
            rows = read_csv(results / "latency.csv")
            assert len(rows) == len(in_engines(config)) and all(float(row["ms"]) > 0 for row in rows)
        elif table == "table11":
            assert len(read_csv(results / "table11.csv")) == 2 + expected
        else:
            assert len(cells) == expected, table
    for number in (1, 2, 4, 5, 6, 7, 8, 9, 10):
        assert printed_figures(results / f"table{number}.csv", "_paper") == printed_figures(
            ROOT / f"xlmd/resources/paper/table{number}.csv"
        ), number
        assert (results / f"table{number}.tex").read_text().count("\\midrule") == 1
    for figure in ("figure1", "figure2", "latency"):
        for kind in ("svg", "pdf", "png"):
            assert (results / f"{figure}.{kind}").stat().st_size > 5000
    assert "reproduced" in (results / "audit.md").read_text()


def points_of(config, table):
    return {(cell.column, cell.point) for cell in cells(config, table)}


def read_csv(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def printed_figures(path, suffix=""):
    """All numbers of the paper in a table, sorted: our file has them in columns that end in `suffix`."""
    words = {"group", "system", "citation", "iterations", "min_length", "max_length"}
    rows = read_csv(path)
    return sorted(
        value for row in rows for name, value in row.items() if value and name.endswith(suffix) and name not in words
    )


def test_every_measured_cell_of_every_table_explains_itself_in_full_from_any_folder(results, tmp_path):
    for path in sorted((results / "provenance").glob("table*.json")):
        table = results / f"{path.stem}.csv"
        for cell in json.loads(path.read_text())["cells"]:
            if cell["table"] == path.stem:
                with contextlib.chdir(results):
                    text = explain(table, list(cell["row"].values()), cell["column"])
                assert "run folder:" in text and "  BLEU: " in text and "  sacreBLEU: " in text
                assert f"--force {shlex.quote(RESULTS)[:-1]}/runs/" in text


def test_nothing_under_an_awkward_name_is_made_twice(made):
    assert "Nothing to be done" in snakemake(made, "--dry-run", "all")


@pytest.mark.parametrize("option", ["--unlock", "--summary", "--rulegraph", "--filegraph", "--dag", "--list-rules"])
def test_what_runs_nothing_needs_no_number_of_cores(made, option):
    snakemake(made, "all", option)


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.stem)
def test_whatever_a_command_is_given_is_quoted(path):
    commands = re.findall(r"(?:shell:|DECODE = \()\n((?:\s+[\"'].*\n)+)", path.read_text())
    given = re.findall(r"(?<!\{)\{([^{}]+)\}", "".join(commands))
    assert all(name == "threads" or name.endswith(":q") for name in given), given
    assert given or path.stem == "common"
