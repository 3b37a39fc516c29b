"""`make gpu`: what it runs, what it leaves for a GPU, and the figures that its benchmarks make."""

import contextlib
import math
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import latency, report, training
from benchmarks.gpu.models import Work, random_model

SMALL = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 130,
}  # fmt: skip
NEED_A_GPU = ["tests", "sanitizer", "ctc", "latency", "training"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command with these programs in the place of its parts' own; gives its status and what it printed."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "SECONDS", 20)
    real = command.parts

    def go(programs, *arguments, gpu=None):
        if gpu:
            monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
            monkeypatch.setattr(torch.cuda, "get_device_name", lambda: gpu)
        parts = [
            command.Part(part.name, part.what, (sys.executable, "-c", programs.get(part.name, "")), part.needs_gpu)
            for part in real(tmp_path)
        ]
        monkeypatch.setattr(command, "parts", lambda _: parts)
        return command.main([*arguments, "--output", str(tmp_path), "--state", str(tmp_path / "state")])

    return go


def test_without_a_gpu_it_builds_and_says_which_parts_need_one(run, tmp_path, capfd):
    assert run({"build": "print('built')"}) == 1
    said = capfd.readouterr()
    assert "build: passed" in said.out and "built" in said.out
    assert said.err.strip().endswith("these parts need one: " + ", ".join(NEED_A_GPU))
    assert not (tmp_path / "gpu.md").exists()


def test_what_has_passed_is_not_run_again_and_what_has_not_is(run, tmp_path, capfd):
    count = f"open({str(tmp_path / 'ran')!r}, 'a').write('{{}} ')"
    programs = {name: count.format(name) for name in ("build", *NEED_A_GPU)}
    programs["ctc"] += "; raise SystemExit(3)"
    assert run(programs, gpu="A GPU") == 1
    programs["ctc"] = count.format("ctc")
    assert run(programs, gpu="A GPU") == 0
    assert (tmp_path / "ran").read_text().split() == ["build", *NEED_A_GPU, "ctc"]
    assert run(programs, "tests", "--anew", gpu="A GPU") == 0 and (tmp_path / "ran").read_text().endswith("ctc tests ")
    summary = (tmp_path / "gpu.md").read_text()
    assert "A GPU" in summary and "| tests: the CUDA tests | passed |" in summary


def test_a_part_that_takes_too_long_is_stopped(run, monkeypatch, capfd):
    monkeypatch.setattr(command, "SECONDS", 0.5)
    assert run({"build": "import time; time.sleep(60)"}, "build") == 1
    assert "build: stopped after 0.5 s" in capfd.readouterr().out


def test_a_program_that_is_not_there_is_named(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(command, "parts", lambda _: [command.Part("build", "…", ("no-such-program",), False)])
    assert command.main(["--output", str(tmp_path), "--state", str(tmp_path)]) == 1
    assert "not run: no-such-program is not on the PATH" in capfd.readouterr().out


@pytest.mark.parametrize("m", [0, 1, 3])
def test_the_operations_of_a_pass_are_those_that_torch_counts(m):
    model = random_model(**SMALL, insertion_layer=m, attn_implementation="eager").eval()
    source, lengths = torch.randint(4, 49, (2, 7)), torch.full((2,), 7)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        refined, _ = model(source, lengths)
        model.logits(refined)
    work = Work(model.config, 2, 7, 5)
    assert work.forward + work.output == counter.get_total_flops()


def test_an_update_and_a_translation_are_measured_on_any_device():
    accelerator = SimpleNamespace(device=torch.device("cpu"), process_index=0, autocast=contextlib.nullcontext)
    rows = [training.measure(accelerator, 64, 2, algorithm1=on, insertion_layer=1, **SMALL) for on in (False, True)]
    assert [row["loss"] for row in rows] == ["plain CTC", "Algorithm 1"]
    assert rows[1]["10¹² operations"] > rows[0]["10¹² operations"] > 0 and all(row["tokens / s"] > 0 for row in rows)
    model = random_model(**SMALL).eval()
    row = latency.measure(model, torch.float32, batch=2, length=5, iterations=2, repeats=3)
    assert 0 < row["median, ms"] <= row["95th of 100, ms"] and math.isclose(
        row["sentences / s"], 2e3 / row["median, ms"]
    )


def test_a_page_has_its_aims_its_figures_and_its_picture(tmp_path):
    aims = [report.Aim("time, ms", 3.0, 2.0), report.Aim("share", 0.5, 0.4, at_least=True)]
    report.write(tmp_path / "x-gpu", "Measured.", aims, [{"T": 1, "ms": 3.0}, {"T": 4, "ms": 9.5}], ("ms", "ms"))
    page = (tmp_path / "x-gpu.md").read_text()
    assert "| time, ms | at most 2 | 3 | **missed** |\n| share | at least 0.4 | 0.5 | reached |" in page
    assert (tmp_path / "x-gpu.csv").read_text() == "T,ms\n1,3\n4,9.5\n" and (tmp_path / "x-gpu.png").stat().st_size
    part = command.Part("x", "a part", ("true",), page="x-gpu")
    report.summary(tmp_path, "A GPU", [(part, {"outcome": "passed", "seconds": 1.0, "last": ""})])
    assert "| share | at least 0.4 | 0.5 | reached |" in (tmp_path / "gpu.md").read_text()
