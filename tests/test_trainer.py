import csv
import errno
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xlmd.errors import UserError
from xlmd.train.accelerator import make_accelerator
from xlmd.train.checkpoints import average_weights, weights_of
from xlmd.train.loop import fit
from xlmd.train.settings import TrainerSettings

SETTINGS = TrainerSettings(
    steps=20, peak_lr=1e-2, warmup_steps=5, schedule="linear", validate_every=4, checkpoint_every=6, log_every=5,
    average=2, device="cpu",
)  # fmt: skip


class Killed(Exception):
    pass


class Batch:
    """Three rows of random tokens, and which rows they are."""

    def __init__(self, number):
        self.tokens = torch.randint(4, 30, (3, 6), generator=torch.Generator().manual_seed(number))
        self.indices = torch.arange(3 * number, 3 * number + 3)

    def to(self, device):
        return self


class Numbers:
    """An endless stream of batches that can be resumed."""

    source = "some text"

    def __init__(self, seed=0):
        self.seed, self.position = seed, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.position += 1
        return Batch(self.seed + self.position)

    def set_progress(self, fraction):
        self.fraction = fraction

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def model():
    return XLMRobertaForMaskedLM(
        XLMRobertaConfig(
            vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
            max_position_embeddings=20,
        )
    )  # fmt: skip


def reconstruct(model, batch, progress, generator):
    """Predict tokens from a noisy copy, with dropout: uses every source of randomness that the loop must restore."""
    tokens = batch.tokens
    noise = torch.randint(4, 30, tokens.shape, generator=generator)
    hidden = torch.where(torch.rand(tokens.shape, generator=generator) < 0.5, noise, tokens)
    logits = model(hidden).logits.flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, tokens.flatten()), {"progress": progress}


def run(folder, settings=SETTINGS, loss=reconstruct, **options):
    accelerator = make_accelerator(settings)
    trained = model()
    options.setdefault("validate", lambda m: {"bleu": m.lm_head.bias.sum().item()})
    results = []
    options.setdefault("finish", results.append)
    fit(trained, loss, Numbers(), settings, folder, accelerator=accelerator, **options)
    return trained, results[0]


def killed_at(step, loss=None):
    calls, inner = [], loss or reconstruct

    def loss(*arguments):
        calls.append(1)
        if len(calls) > step:
            raise Killed
        return inner(*arguments)

    return loss


def equal(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_two_runs_with_one_seed_give_bitwise_the_same_weights(tmp_path):
    first, second = run(tmp_path / "a")[0], run(tmp_path / "b")[0]
    assert equal(first, second)
    assert not equal(first, run(tmp_path / "c", replace(SETTINGS, seed=2))[0])


def test_masks_are_drawn_from_the_runs_seed(tmp_path):
    drawn = {}
    for seed in (1, 2):
        drawn[seed] = []

        def loss(model, batch, progress, generator, kept=drawn[seed]):
            kept.append(torch.rand(3, generator=generator.clone_state()))
            return reconstruct(model, batch, progress, generator)

        run(tmp_path / str(seed), replace(SETTINGS, seed=seed, steps=2), loss)
    assert not any(torch.equal(a, b) for a, b in zip(drawn[1], drawn[2], strict=True))
    assert not torch.equal(*drawn[1])


@pytest.mark.parametrize("step", [0, 3, 7, 13, 19])
def test_a_killed_run_continues_to_bitwise_the_same_weights_and_curves(tmp_path, step):
    whole, _ = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", loss=killed_at(step))
    (tmp_path / "killed/curves.csv").unlink()  # as Snakemake does with what a failed job leaves
    calls = []
    continued, _ = run(tmp_path / "killed", loss=lambda *arguments: calls.append(1) or reconstruct(*arguments))
    assert len(calls) == SETTINGS.steps - step // SETTINGS.checkpoint_every * SETTINGS.checkpoint_every
    assert equal(whole, continued)
    assert (tmp_path / "whole/curves.csv").read_text() == (tmp_path / "killed/curves.csv").read_text()


def test_a_checkpoint_of_other_settings_is_not_continued(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path / "killed", loss=killed_at(13))
    other = replace(SETTINGS, peak_lr=2e-2)
    assert equal(run(tmp_path / "killed", other)[0], run(tmp_path / "fresh", other)[0])


def test_a_checkpoint_of_other_data_is_not_continued(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path / "killed", loss=killed_at(13), identity={"inputs": "one"})
    continued = run(tmp_path / "killed", identity={"inputs": "another"})[0]
    assert equal(continued, run(tmp_path / "fresh")[0])


def test_a_checkpoint_that_is_not_continued_is_kept_until_the_new_run_is_done(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, loss=killed_at(13), identity={"inputs": "one"})
    for step in (1, 0):  # twice: the second kill finds no checkpoint of its own
        with pytest.raises(Killed):
            run(tmp_path, loss=killed_at(step), identity={"inputs": "another"})
        (kept,) = tmp_path.glob("checkpoints.*/step-00000012/state.pt")
    os.replace(kept.parent.parent, tmp_path / "checkpoints")
    calls = []
    run(tmp_path, loss=lambda *batch: calls.append(1) or reconstruct(*batch), identity={"inputs": "one"})
    assert len(calls) == 8 and not list(tmp_path.glob("checkpoints*"))


def test_checkpoints_of_several_other_runs_are_kept_and_go_with_the_end(tmp_path):
    for name in ("one", "two", "three"):
        with pytest.raises(Killed):
            run(tmp_path, loss=killed_at(13), identity={"inputs": name})
    assert len(list(tmp_path.glob("checkpoints.*/step-00000012/state.pt"))) == 2
    run(tmp_path, identity={"inputs": "four"})
    assert not list(tmp_path.glob("checkpoints*"))


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", no_locks)
    run(tmp_path)
    assert "this file system has no locks" in caplog.text


def test_a_run_killed_after_its_last_step_repeats_only_the_steps_since_its_last_checkpoint(tmp_path):
    whole, _ = run(tmp_path / "whole")

    def killed(_):
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "killed", finish=killed)
    calls = []
    continued, _ = run(tmp_path / "killed", loss=lambda *arguments: calls.append(1) or reconstruct(*arguments))
    assert len(calls) == 2 and equal(whole, continued)


def test_half_of_a_checkpoint_is_none(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, loss=killed_at(13))
    (tmp_path / "checkpoints/step-00000018").mkdir()
    calls = []
    run(tmp_path, loss=lambda *arguments: calls.append(1) or reconstruct(*arguments))
    assert len(calls) == 8


def test_two_processes_do_not_train_into_one_folder(tmp_path):
    holder = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    arguments = [sys.executable, "-c", holder, str(tmp_path / ".lock")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match="another process trains into"):
            run(tmp_path)
        other.kill()
    run(tmp_path)


def test_a_damaged_checkpoint_is_named_and_not_executed(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, loss=killed_at(13))
    (state,) = tmp_path.glob("checkpoints/step-*/state.pt")
    state.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(UserError, match="state.pt"):
        run(tmp_path)


def test_the_saved_model_is_the_average_of_the_best_checkpoints(tmp_path):
    seen = {}

    def validate(m):
        value = [3.0, 1.0, 5.0, 2.0, 0.0][len(seen)]
        seen[value] = {name: tensor.clone() for name, tensor in weights_of(m).items()}
        return {"bleu": value}

    trained, result = run(tmp_path, validate=validate)
    assert [entry["bleu"] for entry in result["best"]] == [5.0, 3.0]
    for name, tensor in weights_of(trained).items():
        torch.testing.assert_close(tensor, (seen[5.0][name] + seen[3.0][name]) / 2)
    assert not (tmp_path / "checkpoints").exists() and (tmp_path / "model/model.safetensors").exists()


def test_averaging_one_file_gives_its_weights_back(tmp_path):
    trained, _ = run(tmp_path, replace(SETTINGS, average=1))
    averaged = average_weights([tmp_path / "model/model.safetensors"])
    assert all(torch.equal(tensor, averaged[name]) for name, tensor in weights_of(trained).items() if name in averaged)


def test_curves_hold_loss_learning_rate_and_validation(tmp_path):
    run(tmp_path)
    with (tmp_path / "curves.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {"loss", "lr", "gradient_norm", "progress", "bleu"} == {row["name"] for row in rows}
    assert [int(row["step"]) for row in rows if row["name"] == "bleu"] == [4, 8, 12, 16, 20]
    losses = [float(row["value"]) for row in rows if row["name"] == "loss"]
    assert len(losses) == 4 and losses[-1] < losses[0]


def broken_at(*steps, after=lambda value: value * float("nan")):
    calls = []

    def loss(*arguments):
        calls.append(1)
        value, figures = reconstruct(*arguments)
        return (after(value) if len(calls) in steps else value), figures

    return loss


class InfiniteGradient(torch.autograd.Function):
    """A finite loss whose gradient is not."""

    @staticmethod
    def forward(context, value):
        return value.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * float("inf")


@pytest.mark.parametrize("after", [lambda value: value * float("nan"), InfiniteGradient.apply])
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run_and_names_step_sentences_and_checkpoint(tmp_path, after):
    message = (
        r"(nan|inf).* at step 8, in a batch with lines 25, 26, 27 of some text; last good checkpoint: .*step-00000006"
    )
    with pytest.raises(UserError, match=message):
        run(tmp_path, loss=broken_at(8, after=after))


def test_so_many_updates_that_are_not_finite_are_left_out_and_one_more_stops_the_run(tmp_path, caplog):
    settings = replace(SETTINGS, skip_non_finite=2)
    trained, result = run(tmp_path / "two", settings, broken_at(3, 8))
    assert result["skipped"] == 2 and result["steps"] == 20
    assert all(weight.isfinite().all() for weight in trained.state_dict().values())
    assert "lines 10, 11, 12 of some text" in caplog.text and "2 of at most 2" in caplog.text
    with pytest.raises(UserError, match="at step 15"):
        run(tmp_path / "three", settings, broken_at(3, 8, 15))


def test_a_run_that_stopped_goes_on_when_more_may_be_left_out(tmp_path):
    with pytest.raises(UserError, match="at step 8"):
        run(tmp_path, loss=broken_at(8))
    calls = []
    run(tmp_path, replace(SETTINGS, skip_non_finite=1), lambda *batch: calls.append(1) or reconstruct(*batch))
    assert len(calls) == 14  # from the checkpoint of step 6


def test_an_update_left_out_at_the_end_leaves_no_trace_in_the_figures(tmp_path):
    _, result = run(tmp_path, replace(SETTINGS, skip_non_finite=1), broken_at(20))
    assert result["final_loss"] == result["final_loss"] and "nan" not in (tmp_path / "curves.csv").read_text()


def test_updates_left_out_before_a_kill_still_count(tmp_path):
    settings = replace(SETTINGS, skip_non_finite=1)
    with pytest.raises(Killed):
        run(tmp_path, settings, killed_at(9, broken_at(3)))
    with pytest.raises(UserError, match="at step 8"):
        run(tmp_path, settings, broken_at(2))  # the second one after the checkpoint of step 6


def test_a_run_goes_on_whose_first_update_after_a_checkpoint_is_left_out(tmp_path):
    settings = replace(SETTINGS, skip_non_finite=1, checkpoint_every=4)
    whole, _ = run(tmp_path / "whole", settings, broken_at(5))
    with pytest.raises(Killed):
        run(tmp_path / "killed", settings, killed_at(5, broken_at(5)))
    continued, _ = run(tmp_path / "killed", settings, broken_at(1))
    assert equal(whole, continued)
    assert (tmp_path / "whole/curves.csv").read_text() == (tmp_path / "killed/curves.csv").read_text()


def test_accumulation_over_two_batches_is_one_step_with_both(tmp_path):
    settings = replace(SETTINGS, accumulation=2, average=0)
    positions = []

    def loss(model, batch, progress, generator):
        positions.append(progress)
        return reconstruct(model, batch, progress, generator)

    _, result = run(tmp_path, settings, loss, validate=None)
    assert result["steps"] == 20 and len(positions) == 40
    assert positions[0] == positions[1] == 0.0 and positions[2] == positions[3] == 1 / 20
    assert json.dumps(result)
