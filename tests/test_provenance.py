import subprocess
from datetime import datetime
from importlib import metadata

import pandas as pd
import pytest
from results_example import transformer, write_index, xlmd

from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.reporting import provenance
from xlmd.reporting.table1 import table1


@pytest.fixture
def written(tmp_path):
    """The CSV and the provenance of a small Table 1, with two seeds of one point."""
    results = [
        transformer(tmp_path, bleu=31.23456),
        transformer(tmp_path, engine="ctranslate2", bleu=None, milliseconds=6.0),
        xlmd(tmp_path, 3, 4, milliseconds=12.0),
        xlmd(tmp_path, 3, 4, bleu=27.0, seed=2),
        xlmd(tmp_path, 1, 4, "en-fr"),
    ]
    arguments = write_index(tmp_path, results)
    table1(**arguments)
    return pd.read_csv(arguments["out_csv"], dtype=str, keep_default_na=False), read_json(arguments["out_provenance"])


def cell(record, system, iterations, column, table="table1"):
    row = {"system": system, "iterations": iterations}
    return [c for c in record["cells"] if (c["table"], c["row"], c["column"]) == (table, row, column)]


def test_every_measured_cell_has_exactly_one_entry_with_its_value(written):
    table, record = written
    measured = [name for name in table.columns if name == "speedup" or name.endswith("_bleu")]
    filled = [
        (row["system"], row["iterations"], column, row[column])
        for _, row in table.iterrows()
        for column in measured
        if row[column]
    ]
    assert len(filled) == 5
    for system, iterations, column, value in filled:
        (entry,) = cell(record, system, iterations, column)
        assert entry["value"] == value
    assert len([c for c in record["cells"] if c["table"] == "table1"]) == len(filled)


def test_an_entry_leads_to_files_that_hold_its_value(written):
    (entry,) = cell(written[1], "Transformer", "N", "en-de_bleu")
    (origin,) = entry["origins"]
    assert read_json(origin["score"])["bleu"]["score"] == entry["exact"] == 31.23456
    assert written[1]["runs"][origin["run"]]["settings"] == {"encoder_layers": 2, "decoder_layers": 2}


def test_a_speedup_leads_to_both_latencies(written):
    (entry,) = cell(written[1], "XLM-D (M=6)", "4", "speedup")
    own, baseline = entry["origins"]
    assert (own["role"], baseline["role"]) == ("result", "baseline")
    means = [read_json(origin["latency"])["translation"]["mean"] for origin in (baseline, own)]
    assert entry["exact"] == means[0] / means[1] == 40 / 12


def test_a_mean_over_seeds_leads_to_each_run(written):
    (entry,) = cell(written[1], "XLM-D (M=6)", "4", "en-de_bleu")
    assert [origin["seed"] for origin in entry["origins"]] == [1, 2] and entry["value"] == "26.00"


def test_cells_of_the_latency_table_are_recorded_too(written):
    (entry,) = cell(written[1], "Transformer (CTranslate2)", "N", "mean", table="table1_latency")
    assert entry["value"] == "6.0" and "ctranslate2" in entry["origins"][0]["latency"]


def test_the_record_holds_configuration_scale_versions_seeds_and_times(written):
    record = written[1]
    assert record["config"] == {"scale": "embedded", "seed": 1}
    assert record["scale"]["name"] == "embedded" and record["seeds"] == [1, 2]
    assert record["environment"]["packages"]["sacrebleu"] == metadata.version("sacrebleu")
    assert record["environment"]["hardware"]["cpu"]
    assert datetime.fromisoformat(record["started"]) < datetime.fromisoformat(record["finished"])


def test_a_missing_run_record_is_an_error(tmp_path):
    result = xlmd(tmp_path, 3, 4)
    with pytest.raises(UserError, match=r"nowhere/run\.json"):
        table1(**write_index(tmp_path, [result | {"run": "nowhere"}]))


def test_a_run_record_holds_settings_command_times_and_hashes(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.de").write_bytes(b"abc")
    record = provenance.start_record({"M": 3}, [tmp_path / "data"], seed=7, threads=2)
    provenance.finish(record, tmp_path / "run.json", steps=100)
    written = read_json(tmp_path / "run.json")
    assert (written["settings"], written["seed"], written["steps"]) == ({"M": 3}, 7, 100)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert written["inputs"] == {str(tmp_path / "data" / "train.de"): digest}
    assert datetime.fromisoformat(written["started"]).utcoffset().total_seconds() == 0
    assert written["finished"] >= written["started"] and written["command"]
    assert written["environment"]["hardware"]["threads"] == 2


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(UserError, match="absent.txt"):
        provenance.start_record({}, [tmp_path / "absent.txt"], seed=1)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A working directory that looks like a checkout of this project, with the package installed elsewhere."""
    monkeypatch.setattr(provenance.xlmd, "__file__", str(tmp_path / "site-packages" / "xlmd" / "__init__.py"))
    source = tmp_path / "checkout" / "xlmd" / "reporting" / "provenance.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    monkeypatch.chdir(tmp_path / "checkout")
    return source


def git(*arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_git_state_is_the_checkouts_commit_and_whether_it_was_changed(checkout):
    assert provenance.git_state() is None
    git("init", "-q")
    assert provenance.git_state() is None
    git("add", ".")
    git("commit", "-q", "-m", "first")
    assert provenance.git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    checkout.write_text("x = 2\n")
    assert provenance.git_state()["dirty"]


def test_a_checkout_of_something_else_is_not_this_projects_commit(checkout):
    checkout.unlink()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "other")
    assert provenance.git_state() is None
