"""Several processes do what one does that accumulates as many batches; `xlmd train --processes 2` as a user runs it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_models import save_mlm
from text_example import sentences, write_text

from xlmd.data.encoded import encode
from xlmd.data.tokenizer import load_tokenizer, train_tokenizer
from xlmd.errors import UserError
from xlmd.train.accelerator import make_accelerator
from xlmd.train.launch import is_first
from xlmd.train.settings import TrainerSettings

STEPS = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Everything that a run reads, of made-up text whose target is its source in reverse."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = {"train": sentences(300, seed=1), "dev": sentences(20, seed=2)}
    for split, texts in lines.items():
        write_text(folder / f"{split}.en", texts)
        write_text(folder / f"{split}.de", [" ".join(reversed(text.split())) for text in texts])
    train_tokenizer([folder / "train.en", folder / "train.de"], 200, folder / "tokenizer", seed=1)
    for name in ("train.en", "train.de", "dev.en"):
        encode(folder / name, folder / "tokenizer", folder / name)
    save_mlm(folder / "mlm", vocab_size=len(load_tokenizer(folder / "tokenizer")), initializer_range=0.05)
    return folder


def command(corpus, out, **flags):
    settings = {
        "mlm": corpus / "mlm", "M": 1, "steps": STEPS, "max_tokens": 200, "peak_lr": 0.003, "warmup_steps": 2,
        "all_mask_fraction": 0.5, "validate_every": 6, "checkpoint_every": 5, "log_every": 1, "device": "cpu",
        "direction": "en-de", "tokenizer": corpus / "tokenizer", "source": corpus / "train.en",
        "target": corpus / "train.de", "dev_source": corpus / "dev.en", "dev_reference": corpus / "dev.de", "out": out,
    } | flags  # fmt: skip
    return [sys.executable, "-m", "xlmd.cli", "train", "xlmd", *(f"--{key}={value}" for key, value in settings.items())]


def train(corpus, out, **flags):
    return subprocess.run(command(corpus, out, **flags), capture_output=True, text=True)


def losses(out):
    """What curves.csv has of whole updates; other figures are those of the first process's last batch."""
    with (out / "curves.csv").open(newline="") as handle:
        return {
            (row["step"], row["name"]): float(row["value"])
            for row in csv.DictReader(handle)
            if row["name"] in ("loss", "lr", "sigma", "gradient_norm")
        }


def test_two_processes_train_as_one_that_accumulates_two_batches(corpus, tmp_path):
    for name, flags in {"one": {"accumulation": 2}, "two": {"processes": 2}}.items():
        result = train(corpus, tmp_path / name, **flags)
        assert result.returncode == 0, result.stderr
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) > 2 * STEPS and one == pytest.approx(two, rel=1e-4)
    assert one["6", "loss"] < one["1", "loss"]  # the last one of plain CTC
    figures = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "two")]
    assert [len(entry["result"]["best"]) for entry in figures] == [2, 2]
    assert figures[0]["data"] == figures[1]["data"]


def test_another_number_of_processes_is_another_run(corpus, tmp_path):
    assert train(corpus, tmp_path / "one").returncode == 0
    assert train(corpus, tmp_path / "two", processes=2).returncode == 0
    assert losses(tmp_path / "one") != pytest.approx(losses(tmp_path / "two"), rel=1e-4)


def test_a_failure_in_a_process_ends_all_and_is_told(corpus, tmp_path):
    result = train(corpus, tmp_path / "run", processes=2, dev_reference=tmp_path / "missing")
    assert result.returncode == 2
    assert str(tmp_path / "missing") in result.stderr and "Traceback" not in result.stderr


def test_processes_end_with_the_one_that_started_them_and_the_run_goes_on_to_bitwise_the_same_weights(corpus, tmp_path):
    # Of the best weights, those of the checkpoint that it goes on from are gone before the end.
    flags = {"processes": 2, "steps": 100, "validate_every": 5, "average": 1, "peak_lr": 0.01}
    assert train(corpus, tmp_path / "whole", **flags).returncode == 0
    out = tmp_path / "run"
    running = subprocess.Popen(command(corpus, out, **flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: list(out.glob("checkpoints/step-*")))
        workers = _children(running.pid)
        assert len(workers) >= 2
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    until(lambda: not [pid for pid in workers if alive(pid)])
    assert list(out.glob("checkpoints/step-*")), "the run was over before it could be killed"
    result = train(corpus, out, **flags)
    assert result.returncode == 0 and result.stderr.count("continuing from the checkpoint") == 1
    first, second = (load_file(run / "model/model.safetensors") for run in (tmp_path / "whole", out))
    assert all(torch.equal(first[name], second[name]) for name in first)


ONE_IS_NOT_FINITE = """
import sys, torch
from xlmd.systems.xlmd import XLMD
from xlmd.cli import main
loss, calls = XLMD.loss, []

def broken(self, model, batch, *rest):
    value, figures = loss(self, model, batch, *rest)
    calls.append(1)
    return (value * float("nan") if torch.distributed.get_rank() == 1 and len(calls) == 3 else value), figures

XLMD.loss = broken
main(sys.argv[1:])
"""


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_loss_that_is_not_finite_in_one_process_is_left_out_by_all(corpus, tmp_path, allowed):
    arguments = command(corpus, tmp_path / "run", processes=2, skip_non_finite=allowed)[3:]
    (tmp_path / "broken.py").write_text(ONE_IS_NOT_FINITE)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run([*launcher, str(tmp_path / "broken.py"), *arguments], capture_output=True, text=True)
    assert (result.returncode == 0) == bool(allowed), result.stderr
    assert "at step 3, in a batch with lines" in result.stderr
    if allowed:
        assert json.loads((tmp_path / "run/run.json").read_text())["result"]["skipped"] == 1


# Each process writes into a file of its own: what both print at once may come mixed.
ONE_LACKS_A_GRADIENT = """
import pathlib, sys
import torch
from xlmd.train.processes import sum_gradients

torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
shared, first, second, unused = parameters = [torch.nn.Parameter(torch.ones(size)) for size in (2, 3, 4, 5)]
(shared.sum() + (first if rank == 0 else 2 * second).sum()).backward()
sum_gradients(parameters)
pathlib.Path(sys.argv[1], str(rank)).write_text(str([None if p.grad is None else p.grad.tolist() for p in parameters]))
"""


def test_a_gradient_that_one_process_lacks_counts_as_zero_there(tmp_path):
    (tmp_path / "lacks.py").write_text(ONE_LACKS_A_GRADIENT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(tmp_path / "lacks.py"), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    for rank in "01":
        assert (tmp_path / rank).read_text() == "[[2.0, 2.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], None]"


LEFT_BY_OTHERS = {"RANK": "3", "WORLD_SIZE": "8", "OMPI_COMM_WORLD_SIZE": "8"}


def test_variables_that_no_launcher_set_for_this_process_are_ignored_and_told(monkeypatch, caplog):
    for name, value in LEFT_BY_OTHERS.items():
        monkeypatch.setenv(name, value)
    assert is_first()
    accelerator = make_accelerator(TrainerSettings(device="cpu"))
    assert accelerator.num_processes == 1 and accelerator.is_main_process
    assert "RANK, WORLD_SIZE, OMPI_COMM_WORLD_SIZE in the environment" in caplog.text


@pytest.mark.parametrize(("size", "rank"), [("8", "3"), ("many", "3"), ("1", "5"), ("1", "first")])
def test_another_number_of_processes_than_the_launchers_is_named_before_anything_waits(monkeypatch, size, rank):
    launcher = {"LOCAL_RANK": "0", "RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    assert not is_first()
    with pytest.raises(UserError, match=rf"processes = 1, but .* number {rank} \(RANK\) of {size} \(WORLD_SIZE\)"):
        make_accelerator(TrainerSettings(device="cpu"))


def _children(parent):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


def alive(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
