"""Engines side by side: what is timed, and the table and figure made of it."""

import pandas as pd
import pytest
from results_example import arguments, example_config, write_results
from run_example import write_run
from text_example import sentences, write_text

from xlmd.data.encoded import EncodedText, encode
from xlmd.errors import UserError
from xlmd.experiment.configuration import check_config, resolve_models
from xlmd.experiment.tables import cells, in_engines
from xlmd.files import read_json, write_json
from xlmd.reporting.explain import explain
from xlmd.reporting.latency_figure import latency_figure
from xlmd.reporting.make import make
from xlmd.translate.compare_engines import compare_engines
from xlmd.translate.text import translate_text

pytest.importorskip("onnxruntime")


@pytest.fixture
def config(tmp_path):
    made = example_config(tmp_path)
    made["engines"]["transformers"] = ["transformer-distilled"]
    return made


def measured(config, milliseconds):
    """What `xlmd compare_engines` would write, with these times."""
    timings = []
    for threads in (1, 2):
        for batch in (1, 8):
            for point in in_engines(config):
                path, _, engine = point.path.rpartition("-engine=")
                ms = milliseconds(point, engine) / batch / threads
                timings.append({"cell": path, "engine": engine, "batch": batch, "threads": threads, "ms": ms})
                timings[-1] |= {"spread": 0.1, "run_means": [ms, ms], "bleu": 30 + batch + threads}
    hardware = {"cpu": "Example CPU", "threads": 2, "gpu": None}
    protocol = {"direction": "en-de", "sentences": 100, "runs": 2, "warmup_batches": 2, "hardware": hardware}
    return protocol | {"timings": timings}


def milliseconds(point, engine):
    fast = {"torch": 8, "ctranslate2": 2, "ctranslate2_int8": 1, "onnx": 2, "onnx_int8": 1}[engine]
    per_step = {"transformer": 10 * dict(point.decoding).get("beam", 1), "cmlm": 4, "xlmd": 2}[point.system]
    return per_step * fast * int(dict(point.decoding).get("iterations", 1))


@pytest.fixture
def table(config, tmp_path):
    """results/latency.csv of invented times."""
    write_results(config, "latency")
    given = arguments(config, "table1") | {"paper": None, "latency": tmp_path / "results/latency/engines.json"}
    for name in ("out_csv", "out_md", "out_tex", "out_provenance"):
        given[name] = given[name].with_stem("latency")
    write_json(given["latency"], measured(config, milliseconds))
    make("latency", **given)
    return given["out_csv"]


def test_every_system_stands_in_the_table_in_every_engine_batch_and_number_of_cores(config, table):
    rows = pd.read_csv(table, dtype={"iterations": str})
    assert len(rows) == 4 * len(in_engines(config))
    assert set(rows[rows.system == "Transformer"].engine) == {"torch", "CTranslate2", "CTranslate2, int8"}
    assert set(rows[rows.system == "XLM-D (M=6)"].engine) == {"torch", "ONNX Runtime", "ONNX Runtime, int8"}
    assert set(rows[rows.system == "XLM-D (M=6)"].iterations) == {"1", "2", "4", "8"}
    assert set(rows[rows.system == "CMLM"].engine) == {"torch"} and "XLM-D with LT only" in set(rows.system)
    keys = ["system", "measured_as", "data", "iterations", "engine", "batch", "threads"]
    assert not rows.duplicated(keys).any()


def test_ratios_are_over_the_baseline_in_torch_and_over_the_fastest_transformer_under_the_same_conditions(table):
    rows = pd.read_csv(table, dtype={"iterations": str})
    ours = rows[(rows.system == "XLM-D (M=6)") & (rows.iterations == "2") & (rows.engine == "ONNX Runtime")]
    assert len(ours) == 4
    assert set(ours.speedup) == {50.0}  # 10 · 5 · 8 over 2 · 2 · 2
    assert set(ours.speedup_best) == {1.25}  # greedy in int8, 10 · 1 · 1
    assert list(ours.bleu) == [32, 39, 33, 40]


def test_a_cell_explains_itself_and_the_page_has_a_part_for_each_condition(table):
    key = ("XLM-D (M=6)", "M=2 of 4 layers", "distilled", "2", "ONNX Runtime", "8", "2")
    text = explain(table, key, "speedup")
    assert "latency/engines.json" in text and "transformer-original" in text and "made by:" in text
    page = table.with_suffix(".md").read_text()
    assert "batch 1, 1 core\n" in page and "batch 8, 2 cores\n" in page


def test_the_figure_shows_the_first_condition(table, tmp_path):
    latency_figure(table, [tmp_path / "one.svg"])
    assert "<!-- ms per sentence, batch 1, 1 core -->" in (tmp_path / "one.svg").read_text()


def test_the_baseline_comes_first_and_the_further_transformers_are_those_of_the_configuration(config):
    config["engines"]["transformers"] = ["transformer-distilled-encoder_layers=3-decoder_layers=1"]
    found = [cell.point.path for cell in cells(config, "latency")]
    assert found[:2] == [f"en-de/transformer-original/decodes/{d}" for d in ("beam=5-length_penalty=0.6", "beam=1")]
    assert found[2].startswith("en-de/transformer-distilled-encoder_layers=3-decoder_layers=1/decodes/beam=5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("distilled", "does not name a run without its direction"),
        ("en-de/transformer-distilled", "does not name a run without its direction"),
        ("cmlm-distilled", "is no transformer"),
        ("transformer-original", "is there already"),
    ],
)
def test_a_transformer_that_is_none_is_named_with_its_key(config, name, message):
    config["results"] = "results"
    config["engines"]["transformers"] = [name]
    resolve_models(config)
    with pytest.raises(UserError, match=f"engines.transformers: .*{message}"):
        check_config(config)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """The folder of a run, with a test set beside it."""
    run = write_run(tmp_path_factory.mktemp("runs") / "xlmd-distilled")
    lines = write_text(run.parent / "test", sentences(7, seed=9))
    encode(lines, run / "tokenizer", run.parent / "encoded")
    return run


def compare(run, out, *cells, **options):
    given = {"sentences": None, "warmup": 1, "runs": 2, "batch_sizes": [1, 3], "threads": [1, 2]}
    given |= {"reference": str(run.parent / "test")} | options
    compare_engines(
        [f"{run.name}/decodes/{cell}" for cell in cells], runs_folder=str(run.parent),
        tokenizer=str(run / "tokenizer"), source=str(run.parent / "encoded"), direction="en-de",
        defaults={"xlmd": {"blank_penalty": "dev"}}, out=str(out), **given,
    )  # fmt: skip
    return read_json(out)


def test_each_batch_and_number_of_cores_has_its_own_figure(text, tmp_path):
    found = compare(text, tmp_path / "out.json", "iterations=1-engine=torch", "iterations=2-engine=torch")
    timings = {(one["cell"], one["batch"], one["threads"]): one for one in found["timings"]}
    assert {key[1:] for key in timings} == {(1, 1), (3, 1), (1, 2), (3, 2)} and len(timings) == 8
    for one in timings.values():
        assert one["engine"] == "torch" and len(one["run_means"]) == 2 and one["ms"] > 0 and one["spread"] is not None
    assert len({one["bleu"] for one in found["timings"] if one["cell"].endswith("iterations=2")}) == 1
    assert found["sentences"] == 7 == len(EncodedText(text.parent / "encoded"))


def test_bleu_is_of_what_was_timed(text, tmp_path):
    lines = (text.parent / "test").read_text().splitlines()
    own = translate_text(lines, run=str(text), engine="torch", decoding={"iterations": 1})
    options = {"reference": str(write_text(tmp_path / "own", own)), "batch_sizes": [1], "threads": [1]}
    (one,) = compare(text, tmp_path / "out.json", "iterations=1-engine=torch", **options)["timings"]
    assert one["bleu"] == pytest.approx(100)


def test_an_engine_that_does_not_run_the_system_is_named(text, tmp_path):
    with pytest.raises(UserError, match="engine = 'tensorrt'"):
        compare(text, tmp_path / "out.json", "iterations=1-engine=tensorrt")
