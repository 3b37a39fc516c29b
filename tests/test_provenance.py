from datetime import datetime
from importlib import metadata
from pathlib import Path
from statistics import stdev

import pandas as pd
import pytest
from results_example import arguments, example_config, make_table, write_results

from xlmd.errors import UserError
from xlmd.experiment.tables import TABLES, cells
from xlmd.files import read_json, write_json
from xlmd.reporting.explain import explain
from xlmd.reporting.make import make


@pytest.fixture
def written(tmp_path):
    """The CSV of a small Table 1 with two seeds, its provenance, and where it lies."""
    entry = {"system": "cmlm", "tables": ["table1"], "directions": ["en-de"], "decodings": ["iterations=10"]}
    config = example_config(tmp_path, M=[2], iterations=[4], seeds=[1, 3], compared=[entry])
    make_table(config, "table1")
    paths = arguments(config, "table1")
    return pd.read_csv(paths["out_csv"], dtype=str, keep_default_na=False), read_json(paths["out_provenance"]), paths


def cell(record, system, iterations, column, table="table1"):
    row = {"system": system, "iterations": iterations}
    return [c for c in record["cells"] if (c["table"], c["row"], c["column"]) == (table, row, column)]


def test_every_measured_cell_has_exactly_one_entry_with_its_value(written):
    table, record, _ = written
    measured = [name for name in table.columns if name == "speedup" or name.endswith("_bleu")]
    filled = [
        (row["system"], row["iterations"], column, row[column])
        for _, row in table.iterrows()
        for column in measured
        if row[column]
    ]
    assert len(filled) == 4 + 4 + 1 + 3  # Transformer, XLM-D, CMLM in one direction; their speeds
    for system, iterations, column, value in filled:
        (entry,) = cell(record, system, iterations, column)
        assert entry["value"] == value
    assert len([c for c in record["cells"] if c["table"] == "table1"]) == len(filled)


def test_an_entry_leads_to_files_that_hold_its_value(written):
    (entry,) = cell(written[1], "Transformer", "N", "en-de_bleu")
    first, second = entry["origins"]
    scores = [read_json(Path(origin["decoding"]) / "test.score.json")["bleu"]["score"] for origin in (first, second)]
    assert entry["exact"] == sum(scores) / 2 and entry["deviation"] == pytest.approx(stdev(scores))
    assert written[1]["runs"][second["run"]]["seed"] == second["seed"] == 3


def test_a_speedup_leads_to_both_latencies(written):
    (entry,) = cell(written[1], "XLM-D (M=6)", "4", "speedup")
    own, baseline = entry["origins"]
    assert (own["role"], baseline["role"]) == ("result", "baseline")
    times = read_json(own["latency"])["cells"]
    means = [times[origin["decoding"].partition("/runs/")[2]]["translation"]["mean"] for origin in (baseline, own)]
    assert entry["exact"] == means[0] / means[1] == 40 / 18


def test_cells_of_the_latency_table_are_recorded_too(written):
    (entry,) = cell(written[1], "Transformer (CTranslate2)", "N", "mean", table="table1_latency")
    assert entry["value"] == "6.0" and "ctranslate2" in entry["origins"][0]["decoding"]


def test_the_record_holds_configuration_scale_versions_seeds_and_times(written):
    record = written[1]
    assert record["config"]["grid"]["M"] == [2] and record["scale"]["name"] == "embedded"
    assert record["seeds"] == [1, 3]
    assert record["environment"]["packages"]["sacrebleu"] == metadata.version("sacrebleu")
    assert record["environment"]["hardware"]["cpu"]
    assert datetime.fromisoformat(record["started"]) < datetime.fromisoformat(record["finished"])


def test_the_record_leads_on_to_the_mlm_the_distillation_and_the_teacher_that_a_run_used(tmp_path):
    config = example_config(tmp_path)
    (point, *_) = [point for point in write_results(config, "table5") if point.system == "xlmd"]
    root = Path(config["results"])
    mlm, distilled = root / "bases/west/mlm", root / "distilled/en-de"
    write_json(mlm / "run.json", {"seed": 1, "started": "2023-12-31T00:00:00+00:00"})
    teacher = root / "runs/en-de/transformer-original"
    write_json(teacher / "run.json", {"seed": 1, "started": "2024-01-01T00:00:00+00:00"})
    counts = {"teacher": str(teacher / "model"), "read": 100, "kept": 98}
    write_json(distilled / "distillation.json", counts)
    run = root / "runs" / point.run / "run.json"
    inputs = {str(mlm / "model/config.json"): "0a", str(distilled / "train.source.ids.npy"): "0b"}
    write_json(run, read_json(run) | {"inputs": inputs})
    make("table5", **arguments(config, "table5"))
    record = read_json(arguments(config, "table5")["out_provenance"])
    assert str(mlm) in record["runs"]
    assert record["started"] == "2023-12-31T00:00:00+00:00"
    assert record["distillation"] == {"en-de": counts} and str(teacher) in record["runs"]


def test_a_cell_is_explained_down_to_the_command_that_made_its_run(written):
    text = explain(written[2]["out_csv"], ["XLM-D (M=6)", "4"], "en-de")
    for fact in (
        " over seeds",
        "runs/en-de/xlmd-distilled-M=2-s=2.0-seed=3/decodes/iterations=4",
        "commit:      0a1b2c",
        "M=2",
        "  nrefs:1",
        "logs/train/en-de/xlmd-distilled-M=2-s=2.0.log",
        "xlmd train xlmd --seed 3",
        "snakemake --cores all --force",
    ):
        assert fact in text


@pytest.mark.parametrize("table", [table for table in TABLES if table.startswith("table") and table != "table11"])
def test_every_measured_cell_of_every_table_answers(table, tmp_path):
    config = example_config(tmp_path)
    made = make_table(config, table)
    asked = [(list(row.values()), column) for row, column, _, _ in made.measured()]
    assert len(asked) >= (15 if table == "table7" else len({cell.point for cell in cells(config, table)}))
    for keys, column in asked:
        assert "run folder:" in explain(arguments(config, table)["out_csv"], keys, column)


@pytest.mark.parametrize(
    ("keys", "column", "message"),
    [
        (["LaNMT", "4"], "en-de_paper", "is 26.30: not measured here"),
        (["LaNMT", "4"], "en-de_bleu", "is empty: not measured here"),
        (["GPT", "1"], "en-de", 'there are: "Transformer" "N"'),
        (["XLM-D (M=6)", "4"], "en-fr", "there are: speedup, en-de_bleu"),
    ],
)
def test_what_was_not_measured_is_said_to_be_so(written, keys, column, message):
    with pytest.raises(UserError) as error:
        explain(written[2]["out_csv"], keys, column)
    assert message in str(error.value)
