"""The hash that makes Snakemake rerun what an edited module changes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xlmd.experiment import code_version as code


@pytest.fixture
def tree(tmp_path, monkeypatch):
    shutil.copytree(code.ROOT, tmp_path / "xlmd", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    monkeypatch.setattr(code, "ROOT", tmp_path / "xlmd")
    forget()
    yield tmp_path / "xlmd"
    forget()


def forget():
    code._imported_by.cache_clear()
    code._content.cache_clear()


def edit(path: Path):
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    forget()


@pytest.mark.parametrize(
    ("module", "changed", "unchanged"),
    [
        ("method/decoding.py", "decode", "encode"),
        ("method/algorithm1.py", "train", "preprocess"),
        ("_cuda/recursion.h", "train", "score"),
        ("files.py", "phrasebook", None),
        ("data/phrasebook/sampler.py", "phrasebook", "train"),
        ("data/batching.py", "train", "phrasebook"),
        ("reporting/tables.py", "table", "train"),
    ],
)
def test_a_verb_depends_on_exactly_what_it_reaches(tree, module, changed, unchanged):
    systems = ["xlmd.systems.xlmd"]
    verbs = [verb for verb in (changed, unchanged) if verb]
    before = {verb: code.code_version(verb, systems if verb in ("train", "decode") else ()) for verb in verbs}
    edit(tree / module)
    after = {verb: code.code_version(verb, systems if verb in ("train", "decode") else ()) for verb in before}
    assert after[changed] != before[changed]
    assert unchanged is None or after[unchanged] == before[unchanged]


UNTOUCHED = {
    "transformer": ["train", "decode"],
    "cmlm": ["train", "decode"],
    None: ["tokenizer", "distill", "pretrain"],
}


@pytest.mark.parametrize(
    "module",
    ["method/masking.py", "method/decoding.py", "translate/timing.py", "translate/latency.py", "translate/text.py",
     "experiment/run_settings.py", "experiment/points.py"],
)  # fmt: skip
def test_the_paper_s_method_the_timing_and_the_grid_reach_no_other_training_or_decoding(tree, module):
    def versions():
        return [
            code.code_version(verb, [f"xlmd.systems.{system}"] if system else ())
            for system, verbs in UNTOUCHED.items()
            for verb in verbs
        ]

    before = versions()
    edit(tree / module)
    assert versions() == before


def test_decoding_does_not_depend_on_how_a_run_was_trained_or_is_timed(tree):
    def version():
        return code.code_version("decode", ["xlmd.systems.xlmd"])

    before = version()
    for module in ("train/loop.py", "train/checkpoints.py", "translate/latency.py", "systems/transformer.py"):
        edit(tree / module)
    assert version() == before
    edit(tree / "translate/load.py")
    assert version() != before


def test_a_system_depends_on_its_own_file_alone(tree):
    edited, other = (["xlmd.systems.transformer"], ["xlmd.systems.xlmd"])
    before = code.code_version("train", edited), code.code_version("train", other)
    edit(tree / "systems/transformer.py")
    assert code.code_version("train", edited) != before[0]
    assert code.code_version("train", other) == before[1]


def test_a_language_depends_on_its_own_grammar_alone(tree):
    german, romanian = (["xlmd.data.phrasebook.grammars.de"], ["xlmd.data.phrasebook.grammars.ro"])
    before = code.code_version("phrasebook", german), code.code_version("phrasebook", romanian)
    edit(tree / "data/phrasebook/grammars/de.py")
    assert code.code_version("phrasebook", german) != before[0]
    assert code.code_version("phrasebook", romanian) == before[1]


def test_comments_and_docstrings_change_nothing(tree):
    before = code.code_version("encode")
    path = tree / "data/encoded.py"
    source = path.read_text().replace('"""Tokenised text on disk', '"""Text on disk')
    path.write_text(source.replace("_CHUNK_LINES = 20_000", "_CHUNK_LINES = 20_000  # so many") + "\n# edited\n")
    forget()
    assert code.code_version("encode") == before
    path.write_text(source.replace("_CHUNK_LINES = 20_000", "_CHUNK_LINES = 10_000"))
    forget()
    assert code.code_version("encode") != before


def test_another_verb_changes_nothing(tree):
    before = code.code_version("encode")
    edit(tree / "cli.py")
    assert code.code_version("encode") == before


def test_a_constant_beside_the_verbs_belongs_to_those_that_name_it(tree):
    path, constant = tree / "cli.py", '_DEVICE: dict[str, Any] = {"default": '
    source = path.read_text()
    assert source.count(f'{constant}"auto"') == 1
    before = code.code_version("decode"), code.code_version("score")
    path.write_text(source.replace(f'{constant}"auto"', f'{constant}"cpu"'))
    assert code.code_version("decode") != before[0]
    assert code.code_version("score") == before[1]


def test_the_documented_table_of_what_a_verb_depends_on_is_the_one_that_the_command_prints():
    document = (code.ROOT.parent / "docs/architecture.md").read_text(encoding="utf-8")
    command = "python -m xlmd.experiment.code_version"
    shown = document.split(f"<!-- begin: {command} -->\n")[1].split("\n<!-- end -->")[0]
    printed = subprocess.run([sys.executable, *command.split()[1:]], capture_output=True, text=True, check=True).stdout
    assert shown == printed.strip(), f"the page is stale: put in what `{command}` prints"
