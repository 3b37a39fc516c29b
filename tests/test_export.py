"""What `xlmd export` writes works where this package is not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from run_example import write_run
from text_example import sentences

from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.translate.compare_engines import compare_engines
from xlmd.translate.engines import best_engine
from xlmd.translate.export import export
from xlmd.translate.text import translate_text

pytest.importorskip("onnxruntime")

LINES = sentences(12, seed=3)
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def expected(run):
    return translate_text(LINES, run=str(run), engine="torch", decoding={"iterations": 2})


@pytest.fixture(scope="module")
def with_graphs(run):
    export(run, run / "onnx", format="onnx", int8=True)
    return run / "onnx"


def outside(code, *arguments):
    """What a program prints in a process that cannot import this package."""
    hidden = "import sys; sys.modules['xlmd'] = None\n"
    result = subprocess.run([sys.executable, "-c", hidden + code, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_transformers_alone_generates_the_same(run, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    export(run, tmp_path / "out", format="transformers")
    printed = outside(
        """
import json
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
folder, lines = sys.argv[1], json.loads(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
assert model.generation_config.blank_penalty == 1.5
batch = tokenizer(lines, return_tensors="pt", padding=True)
translations = model.generate(**batch, iterations=2)
print(json.dumps([tokenizer.decode(ids, skip_special_tokens=True) for ids in translations]))
""",
        str(tmp_path / "out"),
        json.dumps(LINES),
    )
    assert [" ".join(line.split()) for line in json.loads(printed.splitlines()[-1])] == expected
    assert any(expected)


def test_translating_takes_the_graphs_in_the_run_folder_as_long_as_they_are_of_its_weights(
    run, expected, with_graphs, tmp_path
):
    shutil.copytree(run, tmp_path / "run")
    moved = str(tmp_path / "run")
    assert best_engine(moved, "auto") == ("onnx" if not torch.cuda.is_available() else "torch")
    assert translate_text(LINES, run=moved, engine="onnx", decoding={"iterations": 2}) == expected
    weights = tmp_path / "run/model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    assert best_engine(moved, "cpu") == "torch"


def test_engines_side_by_side_translate_the_same(run, with_graphs, tmp_path, monkeypatch):
    def copied(system, model_folder, folder, *, int8):
        shutil.copytree(with_graphs, folder, dirs_exist_ok=True)

    monkeypatch.setattr("xlmd.translate.compare_engines.write_engine", copied)
    kinds = ("torch", "onnx", "onnx_int8")
    compare_engines(
        [f"{run.name}/decodes/iterations=2-engine={kind}" for kind in kinds], runs_folder=str(run.parent),
        tokenizer=str(run / "tokenizer"), source=str(run.parent / "dev"), reference=str(run.parent / "text"),
        direction="en-de", defaults={}, sentences=20, warmup=0, runs=1, batch_sizes=[4], threads=[1],
        out=str(tmp_path / "out.json"),
    )  # fmt: skip
    torch_, onnx, int8 = read_json(tmp_path / "out.json")["timings"]
    assert [one["engine"] for one in (torch_, onnx, int8)] == list(kinds)
    assert torch_["bleu"] == onnx["bleu"] and int8["ms"] > 0 and int8["spread"] is None


def test_a_model_card_says_what_it_is_and_what_int8_costs(with_graphs):
    card = (with_graphs / "README.md").read_text()
    assert "language: [en, de]" in card and "| dev BLEU, int8 graphs |" in card and "blank_penalty = 1.5" in card


def test_int8_is_not_kept_where_it_costs_too_much(run, with_graphs, tmp_path, monkeypatch):
    def copied(model, folder, weights):
        for name in ("encode.onnx", "refine.onnx"):
            shutil.copy(with_graphs / name, folder)

    monkeypatch.setattr("xlmd.translate.export.write_graphs", copied)
    monkeypatch.setattr("xlmd.translate.export.LOSS_OF_INT8", -1000)
    export(run, tmp_path / "out", format="onnx", int8=True)
    assert (tmp_path / "out/refine.onnx").exists() and not list(tmp_path.glob("out/*int8*"))


def test_the_example_translates_with_onnx_runtime_and_tokenizers_alone(expected, with_graphs):
    example = (ROOT / "docs/examples/translate_onnx.py").read_text()
    hidden = "for name in ('torch', 'transformers'): sys.modules[name] = None\n"
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['xlmd'] = None\n{hidden}{example}", str(with_graphs), "2"],
        input="\n".join(LINES) + "\n\n",
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [*expected, ""]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"format": "gguf"}, "format = 'gguf'"), ({"format": "transformers", "int8": True}, "int8")],
)
def test_what_cannot_be_exported_is_named_and_leaves_nothing(run, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        export(run, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())
