import subprocess
from datetime import datetime

import pytest

from xlmd import record
from xlmd.errors import UserError
from xlmd.files import read_json


def test_a_run_record_holds_settings_command_times_and_hashes(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.de").write_bytes(b"abc")
    started = record.start_record({"M": 3}, [tmp_path / "data"], seed=7, threads=2)
    record.finish(started, tmp_path / "run.json", steps=100)
    written = read_json(tmp_path / "run.json")
    assert (written["settings"], written["seed"], written["steps"]) == ({"M": 3}, 7, 100)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert written["inputs"] == {str(tmp_path / "data" / "train.de"): digest}
    assert datetime.fromisoformat(written["started"]).utcoffset().total_seconds() == 0
    assert written["finished"] >= written["started"] and written["command"]
    assert written["environment"]["hardware"]["threads"] == 2


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(UserError, match="absent.txt"):
        record.start_record({}, [tmp_path / "absent.txt"], seed=1)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A working directory that looks like a checkout of this project, with the package installed elsewhere."""
    monkeypatch.setattr(record.xlmd, "__file__", str(tmp_path / "site-packages" / "xlmd" / "__init__.py"))
    source = tmp_path / "checkout" / "xlmd" / "__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    monkeypatch.chdir(tmp_path / "checkout")
    return source


def git(*arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_git_state_is_the_checkouts_commit_and_whether_it_was_changed(checkout):
    assert record.git_state() is None
    git("init", "-q")
    assert record.git_state() is None
    git("add", ".")
    git("commit", "-q", "-m", "first")
    assert record.git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    checkout.write_text("x = 2\n")
    assert record.git_state()["dirty"]


def test_a_checkout_of_something_else_is_not_this_projects_commit(checkout):
    checkout.unlink()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "other")
    assert record.git_state() is None
