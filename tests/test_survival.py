"""What can go wrong on the way: kills at the worst moment, full and read-only disks, two runs at once, poisoned files.

Each ends in recovery by the same command, or in one clear message; nothing half-written is ever taken for good. Bad
servers are in test_download.py, bad archives and packed files in test_sources.py, bad text in test_preprocess.py and
test_encoded.py.
"""

import contextlib
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_models import save_mlm
from test_processes import alive, command, corpus, train, until  # noqa: F401 (corpus is a fixture)
from test_workflow import ROOT, checkout, snakemake
from text_example import sentences, write_text

from xlmd.data.encoded import EncodedText, encode
from xlmd.errors import UserError
from xlmd.systems.transformer import Transformer, TransformerSettings
from xlmd.systems.xlmd import XLMD, XLMDSettings

# Runs `xlmd …`, and dies by SIGKILL just before the n-th file or folder with some text in its name, or whose path ends
# so, gets its real name: all has been written, nothing is in place.
KILLED_BEFORE = """
import os, signal, sys
replace, left = os.replace, [int(sys.argv[2])]

def killing(source, target):
    name = str(target)
    left[0] -= name.endswith(sys.argv[1]) or sys.argv[1] in os.path.basename(name)
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target)

os.replace = killing
from xlmd.cli import main
main(sys.argv[3:])
"""


def xlmd(*arguments):
    return subprocess.run([sys.executable, "-m", "xlmd.cli", *map(str, arguments)], capture_output=True, text=True)


def killed_before(name, count, *arguments):
    script = [sys.executable, "-c", KILLED_BEFORE, name, str(count), *map(str, arguments)]
    result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == -signal.SIGKILL, result.stderr


def visible(folder):
    """{path: content} of the files below a folder, those of a name of their own."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    hidden = [path for path in paths if any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path not in hidden}


def recovers(tmp_path, verb, *arguments, before, count=1):
    """The same command ends, after a kill, with the same files as without one; between the two, none is half there."""
    assert xlmd(verb, *arguments, "--out", tmp_path / "whole/out").returncode == 0
    whole = visible(tmp_path / "whole")
    killed_before(before, count, verb, *arguments, "--out", tmp_path / "killed/out")
    left = visible(tmp_path / "killed")
    assert before not in "".join(left) and all(content == whole[name] for name, content in left.items())
    result = xlmd(verb, *arguments, "--out", tmp_path / "killed/out")
    assert result.returncode == 0, result.stderr
    assert visible(tmp_path / "killed") == whole


# Kills


class Slow(BaseHTTPRequestHandler):
    """Half of a file at once, the rest in a trickle; honours ranges."""

    DATA = os.urandom(3_000_000)

    def do_GET(self):
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.server.ranges.append(start)
        data = self.DATA[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            if not start:
                self.wfile.write(data[: len(data) // 2])
                self.server.stuck.wait()
                data = data[len(data) // 2 :]
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def slow():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads, server.ranges, server.stuck = True, [], threading.Event()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.stuck.set()
    server.shutdown()
    server.server_close()


def test_a_download_killed_half_way_goes_on_where_it_was(slow, tmp_path):
    url, digest = f"http://127.0.0.1:{slow.server_address[1]}/a", hashlib.sha256(Slow.DATA).hexdigest()
    arguments = ["fetch", "--url", url, "--mirror-path", "x/a", "--sha256", digest, "--out", str(tmp_path / "a")]
    running = subprocess.Popen([sys.executable, "-m", "xlmd.cli", *arguments], stderr=subprocess.DEVNULL)
    partial = tmp_path / ".a.part"
    until(lambda: partial.exists() and partial.stat().st_size > 1_000_000)
    running.kill()
    running.wait()
    assert not (tmp_path / "a").exists()
    assert xlmd(*arguments).returncode == 0
    assert (tmp_path / "a").read_bytes() == Slow.DATA and slow.ranges[1] > 1_000_000


def test_a_terminated_job_leaves_no_temporary_files(tmp_path):
    pair = [write_text(tmp_path / language, sentences(300, seed)) for seed, language in enumerate(("en", "de"))]
    os.mkfifo(tmp_path / "endless.de")
    running = subprocess.Popen(
        [sys.executable, "-m", "xlmd.cli", "preprocess", "--source", pair[0], "--language", "en",
         "--target", tmp_path / "endless.de", "--target-language", "de", "--out", tmp_path / "out"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: list(tmp_path.glob("out/.*.tmp")))
    running.terminate()
    assert running.wait(60) == 128 + signal.SIGTERM
    assert not list((tmp_path / "out").iterdir())


# Of two processes that tokenise one dies while the other is at work, with more to tell than a pipe holds.
ONE_IS_KILLED = """
import os, signal, sys, time
from xlmd.cli import main
from xlmd.data import preprocess

def tokenized(line, *_):
    try:
        os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        time.sleep(0.05)
        return line * 10_000
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)

preprocess._CHUNK_LINES, preprocess._tokenized = 10, tokenized
main(sys.argv[2:])
"""


def test_a_tokenising_process_that_is_killed_ends_the_command_with_its_message(tmp_path):
    pair = [write_text(tmp_path / language, sentences(300, seed)) for seed, language in enumerate(("en", "de"))]
    arguments = [
        "preprocess", "--source", pair[0], "--language", "en", "--target", pair[1], "--target-language", "de",
        "--processes", "2", "--out", tmp_path / "out",
    ]  # fmt: skip
    script = [sys.executable, "-c", ONE_IS_KILLED, tmp_path / "first", *arguments]
    result = subprocess.run(list(map(str, script)), capture_output=True, text=True, timeout=60)
    assert result.returncode == 2 and "a process that tokenised was killed" in result.stderr
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("before", ["train.de", "train.raw.en", "train.json"])
def test_tokenisation_killed_before_any_of_its_files_is_done_again(tmp_path, before):
    pair = [write_text(tmp_path / language, sentences(300, seed)) for seed, language in enumerate(("en", "de"))]
    recovers(
        tmp_path, "preprocess", "--source", pair[0], "--language", "en", "--target", pair[1], "--target-language", "de",
        before=before,
    )  # fmt: skip


@pytest.mark.parametrize("before", ["ids.npy", "offsets.npy"])
def test_encoding_killed_before_either_of_its_files_is_done_again(corpus, tmp_path, before):  # noqa: F811
    recovers(tmp_path, "encode", "--text", corpus / "train.en", "--tokenizer", corpus / "tokenizer", before=before)


def weights(run):
    return load_file(run / "model/model.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):  # noqa: F811
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(corpus, folder).returncode == 0
    return folder


@pytest.mark.parametrize(
    "before, count",
    [("step-00000005", 1), ("step-00000010", 1), ("state.pt", 2), ("best-", 2), ("run/model", 1), ("run.json", 1)],
)
def test_training_killed_in_the_middle_of_a_write_ends_in_bitwise_the_same_weights(
    corpus, whole, tmp_path, before, count  # noqa: F811
):  # fmt: skip
    arguments = command(corpus, tmp_path / "run")[3:]
    killed_before(before, count, *arguments)
    assert not (tmp_path / "run/run.json").exists()
    result = train(corpus, tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert ("continuing from the checkpoint" in result.stderr) == (before != "step-00000005")
    assert same(weights(tmp_path / "run"), weights(whole))
    assert (tmp_path / "run/curves.csv").read_text() == (whole / "curves.csv").read_text()
    assert not list((tmp_path / "run").glob("checkpoints*"))


def test_training_killed_at_some_step_ends_in_bitwise_the_same_weights(corpus, tmp_path):  # noqa: F811
    flags = {"steps": 60, "validate_every": 30}
    assert train(corpus, tmp_path / "whole", **flags).returncode == 0
    running = subprocess.Popen(command(corpus, tmp_path / "run", **flags), stderr=subprocess.DEVNULL)
    until(lambda: list((tmp_path / "run").glob("checkpoints/step-*")))
    running.kill()
    running.wait()
    assert "continuing from the checkpoint" in train(corpus, tmp_path / "run", **flags).stderr
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


class Tokenizer:
    bos_token_id, pad_token_id, eos_token_id, unk_token_id, mask_token_id, unk_token = 0, 1, 2, 3, 29, "<unk>"

    def __len__(self):
        return 30


def test_distillation_killed_at_a_shard_goes_on_with_those_that_are_done(tmp_path):
    torch.manual_seed(0)
    system = Transformer(TransformerSettings(1, 1, d_model=16, ffn=16, heads=2), Tokenizer())
    model = system.build()
    model.final_logits_bias[0, 2] = 2.0  # an untrained model would never end a sentence
    model.save_pretrained(tmp_path / "teacher")
    from text_example import encoded_text, random_sentences

    encoded_text(tmp_path / "raw", random_sentences(2500, seed=1, longest=4, vocabulary=29))
    arguments = ["--model", tmp_path / "teacher", "--source", tmp_path / "raw", "--beam", "1", "--max-ratio", "30"]
    killed_before(".npz", 3, "distill", *arguments, "--out", tmp_path / "killed/out")
    assert visible(tmp_path / "killed") == {}
    assert len(list((tmp_path / "killed/out/.shards").glob("[0-9]*.npz"))) == 2
    recovers(tmp_path, "distill", *arguments, before="target.offsets")


def test_a_decoding_killed_before_it_is_whole_is_made_again(corpus, whole, tmp_path):  # noqa: F811
    expected = None
    for name in ("whole", "killed"):
        run = shutil.copytree(whole, tmp_path / name)
        arguments = [
            "decode", "--run", run, "--tokenizer", corpus / "tokenizer", "--source", corpus / "dev.en",
            "--decodings", "iterations=2", "iterations=4", "--device", "cpu",
        ]  # fmt: skip
        if name == "killed":
            killed_before("iterations=4/test.json", 1, *arguments)
            assert not (run / "decodes/iterations=4/test.json").exists()
        result = xlmd(*arguments)
        assert result.returncode == 0
        if name == "killed":
            assert "iterations=2 is there already" in result.stderr
        texts = {path.parent.name: path.read_text() for path in run.glob("decodes/*/test.txt")}
        expected = expected or texts
        assert texts == expected and len(texts) == 2


# Disks


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own, of so many bytes; tests that need one are skipped where none can be mounted."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def stages(corpus, out):  # noqa: F811
    """{stage: the command that writes to `out`}."""
    return {
        "preprocess": [
            "preprocess", "--source", corpus / "train.en", "--language", "en", "--target", corpus / "train.de",
            "--target-language", "de", "--out", out,
        ],
        "encode": ["encode", "--text", corpus / "train.en", "--tokenizer", corpus / "tokenizer", "--out", out / "en"],
        "train": command(corpus, out / "run")[3:],
        "fetch": ["fetch", "--url", (corpus / "train.en").as_uri(), "--mirror-path", "x", "--out", out / "file"],
    }  # fmt: skip


@pytest.mark.parametrize("stage, size", [("preprocess", 16384), ("encode", 8192), ("train", 65536), ("fetch", 8192)])
def test_a_full_disk_is_one_message_and_with_more_room_the_same_command_succeeds(
    corpus, tmp_path, stage, size  # noqa: F811
):  # fmt: skip
    with small_disk(tmp_path / "disk", size) as remount:
        arguments = stages(corpus, tmp_path / "disk")[stage]
        result = xlmd(*arguments)
        assert result.returncode == 2, result.stderr
        assert "No space left on device" in result.stderr and "Traceback" not in result.stderr
        remount("size=200m")
        assert xlmd(*arguments).returncode == 0


@pytest.mark.parametrize("stage", ["preprocess", "encode", "train", "fetch"])
def test_a_read_only_folder_of_results_is_one_message(corpus, tmp_path, stage):  # noqa: F811
    with small_disk(tmp_path / "disk", "1m") as remount:
        remount("ro")
        result = xlmd(*stages(corpus, tmp_path / "disk")[stage])
        assert result.returncode == 2, result.stderr
        assert "Read-only file system" in result.stderr and "Traceback" not in result.stderr


# Two at once


def test_a_second_snakemake_in_the_same_folder_is_refused(tmp_path):
    folder = checkout(tmp_path)
    first = subprocess.Popen(
        ["snakemake", "--cores", "1", "results/table1.csv", "--configfile", "micro.yaml"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: list(folder.glob(".snakemake/locks/*")) and list(folder.glob("results/corpora/*/raw/*")))
        output = snakemake(folder, "results/table1.csv", check=False)
        assert "cannot be locked" in output and "no other Snakemake process" in output
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def test_a_second_make_in_the_same_folder_is_refused_and_a_dead_ones_lock_is_none(tmp_path):
    recipe = f"include {ROOT}/Makefile\ntry:\n\t@$(LOCK) sleep $(SECONDS) || $(BUSY)\n"
    (tmp_path / "Makefile").write_text(recipe)
    make = ["make", "--no-print-directory", "try"]
    first = subprocess.Popen([*make, "SECONDS=100"], cwd=tmp_path, start_new_session=True)
    lock = tmp_path / ".snakemake.lock"
    until(lambda: lock.exists() and subprocess.run(["flock", "--nonblock", str(lock), "true"]).returncode)
    second = subprocess.run([*make, "SECONDS=0"], cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode and "another make is running here" in second.stderr
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert subprocess.run([*make, "SECONDS=0"], cwd=tmp_path).returncode == 0


# Poison


class Poison:
    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_pickle_offered_as_a_model_is_refused_and_not_executed(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    save_mlm(tmp_path / "mlm")
    (tmp_path / "mlm/model.safetensors").unlink()
    (tmp_path / "mlm" / name).write_bytes(pickle.dumps(Poison()))

    class Mask(Tokenizer):
        mask_token_id = 39

        def __len__(self):
            return 40

        def convert_tokens_to_ids(self, token):
            return 0

    with pytest.raises(UserError, match="mlm"):
        XLMD(XLMDSettings(mlm=str(tmp_path / "mlm")), Mask()).build()
    assert not Path("owned").exists()


def test_a_pickle_offered_as_a_checkpoint_is_refused_and_not_executed(corpus, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    killed_before("step-00000010", 1, *command(corpus, tmp_path / "run")[3:])
    (state,) = tmp_path.glob("run/checkpoints/step-*/state.pt")
    state.write_bytes(pickle.dumps(Poison()))
    result = train(corpus, tmp_path / "run")
    assert result.returncode == 2 and "state.pt is not a readable checkpoint" in result.stderr
    assert not Path("owned").exists()


def test_a_shard_that_is_a_pickle_is_not_opened(tmp_path):
    import numpy as np

    from xlmd.translate.distillation import _read_shard

    np.savez(tmp_path / "000000000.npz", ids=np.array([Poison()], dtype=object), offsets=np.array([0, 1]))
    with pytest.raises(ValueError, match="allow_pickle"):
        _read_shard(tmp_path / "000000000.npz")


def test_encoded_text_cut_short_is_refused(corpus, tmp_path):  # noqa: F811
    encode(corpus / "dev.en", corpus / "tokenizer", tmp_path / "dev")
    ids = tmp_path / "dev.ids.npy"
    ids.write_bytes(ids.read_bytes()[:-40])
    with pytest.raises(UserError, match="dev.ids.npy"):
        EncodedText(tmp_path / "dev")
