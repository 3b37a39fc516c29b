"""What `make` does before it hands over to Snakemake: asked without running anything."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


# In the place of Python, which would install for minutes: it makes an environment and has nothing to say.
PYTHON = """#!/bin/sh
test "$2" != venv || { mkdir -p "$3/bin" && ln -s /bin/true "$3/bin/python"; }
"""


def checkout(folder):
    """A checkout whose environment is there and installed, as far as make can see."""
    folder.mkdir()
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    for name in ("Makefile", "requirements.lock", "CMakeLists.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    make(folder, "setup", dry=False)
    (folder / ".venv/bin/program").touch()
    return folder


def make(folder, *arguments, dry=True):
    """What make prints."""
    command = ["make", *(["--dry-run"] if dry else []), *arguments, "PYTHON=./python"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize("name", ["checkout", "a folder of O'Brien (1)"])
def test_what_is_installed_is_not_installed_again(tmp_path, name):
    assert "pip install" not in make(checkout(tmp_path / name), "setup")


@pytest.mark.parametrize("transport", [shutil.copytree, shutil.move])
@pytest.mark.parametrize("name", ["other", "another folder"])
def test_a_copied_or_moved_checkout_is_installed_anew(tmp_path, transport, name):
    checkout(tmp_path / "checkout")
    transport(tmp_path / "checkout", tmp_path / name, **({"symlinks": True} if transport is shutil.copytree else {}))
    assert "pip install" in make(tmp_path / name, "setup")
    make(tmp_path / name, "setup", dry=False)
    assert not (tmp_path / name / ".venv/bin/program").exists(), "programs of the other checkout are still there"
    assert "pip install" not in make(tmp_path / name, "setup")


def test_an_environment_that_two_checkouts_share_is_kept_but_has_the_package_of_the_one_that_asks(tmp_path):
    first = checkout(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second", symlinks=True)
    shared = f"VENV={first}/.venv"
    assert "--editable" in make(tmp_path / "second", "setup", shared)
    make(tmp_path / "second", "setup", shared, dry=False)
    assert (first / ".venv/bin/program").exists()
    assert "--editable" in make(first, "setup")


RUN = "results/runs/en-de/xlmd-distilled-M=2-s=2.0-reset=True/decodes/iterations=4-strategy=static/test.txt"


@pytest.mark.parametrize("goals", [[RUN], [RUN, "results/table1.csv"], ["results/table1.csv", "CORES=1", RUN]])
def test_a_result_whose_name_has_an_equals_sign_is_a_goal(tmp_path, goals):
    printed = make(checkout(tmp_path / "checkout"), *goals)
    for goal in goals:
        assert "=" not in goal or goal == "CORES=1" or f"snakemake '{goal}'" in printed
    assert ("'results/table1.csv'" in printed) == ("results/table1.csv" in goals)


@pytest.mark.parametrize("name", ["my runs/table1.csv", "O'Brien/table1.csv", "a (b)/M=2 of 4", "O'Brien/M=2"])
def test_a_result_is_one_word_to_the_shell_whatever_its_name(tmp_path, name):
    printed = make(checkout(tmp_path / "checkout"), f"results/{name}")
    assert f"results/{name}" in [word for line in printed.splitlines() for word in shlex.split(line)]


def test_the_rivals_are_measured_in_the_tables_that_have_a_row_for_them(tmp_path):
    command = make(checkout(tmp_path / "checkout"), "rivals")
    tables = " ".join(f"results/table{number}.csv" for number in (1, 2, 4, 10))
    assert f"snakemake {tables} --configfile config/rivals.yaml --nolock" in command


def test_make_alone_helps(tmp_path):
    assert "snakemake" not in make(checkout(tmp_path / "checkout"))
