from datetime import datetime
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from results_example import transformer, write_index, xlmd

from xlmd.errors import UserError
from xlmd.files import read_json, write_json
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


def test_the_record_leads_on_to_the_mlm_and_the_distillation_that_a_run_used(tmp_path):
    result = xlmd(tmp_path, 3, 4)
    mlm, distilled = tmp_path / "mlm", tmp_path / "distilled/en-de"
    write_json(mlm / "run.json", {"seed": 1, "started": "2023-12-31T00:00:00+00:00"})
    write_json(distilled / "distillation.json", {"read": 100, "kept": 98})
    run = Path(result["run"]) / "run.json"
    inputs = {str(mlm / "model/config.json"): "0a", str(distilled / "train.source.ids.npy"): "0b"}
    write_json(run, read_json(run) | {"inputs": inputs, "description": {"direction": "en-de"}})
    arguments = write_index(tmp_path, [result])
    table1(**arguments)
    record = read_json(arguments["out_provenance"])
    assert record["runs"].keys() == {result["run"], str(mlm)}
    assert record["started"] == "2023-12-31T00:00:00+00:00"
    assert record["distillation"] == {"en-de": {"read": 100, "kept": 98}}


def test_a_missing_run_record_is_an_error(tmp_path):
    result = xlmd(tmp_path, 3, 4)
    with pytest.raises(UserError, match=r"nowhere/run\.json"):
        table1(**write_index(tmp_path, [result | {"run": "nowhere"}]))
