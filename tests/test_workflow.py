"""The workflow as a user runs it, at a scale where every stage takes seconds."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TABLE = "results/table1.csv"


def checkout(folder):
    """A working folder with the project's workflow in it and room for results."""
    for name in ("workflow", "resources", "config.yaml"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "tests/micro.yaml", folder / "micro.yaml")
    return folder


def snakemake(folder, *arguments, check=True):
    command = ["snakemake", "--cores", "2", *arguments, "--configfile", "micro.yaml"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def planned(output):
    """{rule: number of jobs} of a dry run."""
    if "Job stats:" not in output:
        return {}
    lines = output.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
    return {name: int(count) for name, count in (line.split() for line in lines if line.strip())}


def edit(folder, **changes):
    """Change keys of the overlay; a key is a path with double underscores."""
    config = yaml.safe_load((folder / "micro.yaml").read_text())
    for path, value in changes.items():
        *parents, key = path.split("__")
        entry = config
        for parent in parents:
            entry = entry.setdefault(parent, {})
        entry[key] = value
    (folder / "micro.yaml").write_text(yaml.safe_dump(config))


def read_table(folder):
    with (folder / TABLE).open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = checkout(tmp_path_factory.mktemp("workflow"))
    snakemake(folder, TABLE)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_the_whole_chain_ends_in_a_table_with_every_measured_cell(finished):
    rows = read_table(finished)
    measured = {(row["system"], row["iterations"]): row for row in rows if row["en-de_bleu"]}
    expected = {("Transformer", "N")} | {(f"XLM-D (M={m})", str(t)) for m in (0, 6) for t in (2, 4)}
    assert set(measured) == expected
    for row in measured.values():
        assert row["de-en_bleu"] and float(row["speedup"]) > 0 and row["en-de_paper"]
    assert all(not row["en-ro_bleu"] for row in rows)
    assert len([row for row in rows if row["group"]]) >= 13


def test_every_measured_cell_names_the_run_that_it_came_from(finished):
    record = json.loads((finished / "results/provenance/table1.json").read_text())
    cells = {(cell["row"]["system"], cell["row"]["iterations"], cell["column"]) for cell in record["cells"]}
    for row in read_table(finished):
        for column in [name for name in row if name.endswith("_bleu") or name == "speedup"]:
            if row[column]:
                assert (row["system"], row["iterations"], column) in cells
    for cell in record["cells"]:
        for origin in cell["origins"]:
            assert (finished / origin["run"] / "run.json").exists()


def test_nothing_is_run_twice(finished):
    assert planned(snakemake(finished, "--dry-run", TABLE)) == {}


def test_another_m_trains_only_that_m(copy):
    edit(copy, table1__M=[0, 1, 2])
    jobs = planned(snakemake(copy, "--dry-run", TABLE))
    assert jobs["train"] == 2 and jobs["decode_xlmd"] == 2
    assert not {"pretrain_mlm", "distill", "train_tokenizer", "encode", "preprocess"} & set(jobs)


def test_another_number_of_iterations_only_decodes(copy):
    edit(copy, table1__iterations=[2, 4, 8])
    jobs = planned(snakemake(copy, "--dry-run", TABLE))
    assert jobs["decode_xlmd"] == 4 and "train" not in jobs
    before = {path: path.stat().st_mtime_ns for path in copy.glob("results/runs/*/*/decodes/*/test.txt")}
    run = "results/runs/en-de/xlmd-distilled-M=0-s=2.0/decodes"
    snakemake(copy, f"{run}/iterations=8/test.txt")
    assert (copy / run / "iterations=8/test.txt").exists()
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_any_run_and_decoding_is_a_target_by_its_name(finished):
    name = "results/runs/en-de/xlmd-original-M=1-s=1.5-reset=True/decodes/iterations=4-strategy=static"
    jobs = planned(snakemake(finished, "--dry-run", f"{name}/test.score.json"))
    assert jobs["train"] == jobs["decode_otherwise"] == jobs["score"] == 1 and "distill" not in jobs


def test_another_s_trains_anew_from_the_same_teacher(copy):
    edit(copy, table1__s=1.5)
    jobs = planned(snakemake(copy, "--dry-run", TABLE))
    assert jobs["train"] == 4 and "distill" not in jobs


def test_another_direction_adds_only_its_own_runs(copy):
    pairs = ["en-de", "de-en", "en-ro"]
    edit(copy, directions=[{"pair": pair, "corpus": "phrasebook"} for pair in pairs])
    jobs = planned(snakemake(copy, "--dry-run", TABLE))
    assert jobs["train"] == 3 and jobs["distill"] == 1 and "pretrain_mlm" not in jobs


def test_editing_a_module_reruns_what_imports_it(copy, tmp_path):
    """A change of the source, not of its time stamp, must rerun the rules whose command reaches it."""
    import xlmd

    package = Path(xlmd.__file__).parent
    shutil.copytree(package, tmp_path / "tree/xlmd", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "tree/xlmd/decoding.py"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "tree")}
    command = ["snakemake", "--cores", "2", "--dry-run", TABLE, "--configfile", "micro.yaml"]

    def jobs():
        result = subprocess.run(command, cwd=copy, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return planned(result.stdout + result.stderr)

    assert jobs() == {}
    module.touch()
    assert jobs() == {}
    module.write_text(module.read_text() + "\n# edited\n")
    assert {"train", "decode_xlmd", "latency"} <= set(jobs())
    assert not {"train_tokenizer", "preprocess", "encode", "pretrain_mlm"} & set(jobs())


def test_a_training_job_killed_half_way_continues_to_the_same_table(finished, tmp_path):
    folder = checkout(tmp_path)
    edit(folder, systems__xlmd__trainer__steps=6)
    process = subprocess.Popen(
        ["snakemake", "--cores", "1", TABLE, "--configfile", "micro.yaml"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    checkpoint = "results/runs/*/xlmd-*/checkpoints/latest/state.pt"
    deadline = time.monotonic() + 300
    while not list(folder.glob(checkpoint)):
        assert time.monotonic() < deadline and process.poll() is None, "no checkpoint appeared"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(folder.glob(checkpoint)), "the job was over before it could be killed"
    snakemake(folder, "--unlock")
    snakemake(folder, TABLE)
    for row, reference in zip(read_table(folder), read_table(finished), strict=True):
        # Only the time it took may differ.
        assert row | {"speedup": None} == reference | {"speedup": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sytems": {}}, "sytems"),
        ({"systems__xlmd__settings__gama": 0.5}, "gama"),
        ({"table1__M": [0, 3]}, "table1.M: M = 3"),
        ({"table1__s": 0.5}, "table1.s: 0.5"),
        ({"seed": "one"}, "seed: 'one'"),
        ({"latency__direction": "en-fr"}, "latency.direction: en-fr"),
        ({"directions": [{"pair": "en-de", "corpus": "wmt"}]}, "wmt"),
    ],
)
def test_a_bad_configuration_ends_at_once_and_names_the_key(tmp_path, change, message):
    folder = checkout(tmp_path)
    edit(folder, **change)
    output = snakemake(folder, "--dry-run", TABLE, check=False)
    assert message in output and "Traceback" not in output


def test_the_schema_lists_exactly_the_settings_of_the_code():
    from xlmd.schema import settings_schema

    written = yaml.safe_load((ROOT / "workflow/schemas/settings.schema.yaml").read_text())
    assert written == yaml.safe_load(yaml.safe_dump(settings_schema(), allow_unicode=True))
