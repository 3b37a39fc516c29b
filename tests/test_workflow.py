"""The workflow as a user runs it, at a scale where every stage takes seconds."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from xlmd.errors import UserError
from xlmd.experiment.configuration import check_config, resolve_corpora, resolve_models

ROOT = Path(__file__).parent.parent
TABLE = "results/table1.csv"


def checkout(folder):
    """A working folder with the project's workflow in it and room for results."""
    for name in ("workflow", "config.yaml"):
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


def decoded(jobs):
    """How many runs of XLM-D are decoded."""
    return sum(count for name, count in jobs.items() if name.startswith("decode_xlmd"))


E5 = "multilingual-e5-small"
IMPORTED = {"vocabulary": "corpus", "tokenizer": {"source": E5}, "mlm": {"source": E5, "layers": 6}}


def changed(config, **changes):
    """`config` with changed keys; a key is a path with double underscores."""
    for path, value in changes.items():
        *parents, key = path.split("__")
        entry = config
        for parent in parents:
            entry = entry.setdefault(parent, {})
        entry[key] = value
    return config


def edit(folder, **changes):
    """Change keys of the overlay."""
    overlay = folder / "micro.yaml"
    overlay.write_text(yaml.safe_dump(changed(yaml.safe_load(overlay.read_text()), **changes)))


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
    own = [cell for cell in record["cells"] if cell["table"] == "table1"]
    cells = {(cell["row"]["system"], cell["row"]["iterations"], cell["column"]) for cell in own}
    for row in read_table(finished):
        for column in [name for name in row if name.endswith("_bleu") or name == "speedup"]:
            if row[column]:
                assert (row["system"], row["iterations"], column) in cells
    for cell in record["cells"]:
        for origin in cell["origins"]:
            assert (finished / origin["run"] / "run.json").exists()
    assert "results/bases/west/mlm" in record["runs"]
    assert record["started"] == min(run["started"] for run in record["runs"].values())
    assert all(record["distillation"][pair]["kept"] > 0 for pair in ("en-de", "de-en"))


def test_a_run_folder_translates_wherever_it_is_moved(finished, tmp_path):
    run = next((finished / "results/runs/en-de").glob("transformer-*"))
    for part in ("run.json", "model", "tokenizer"):
        (shutil.copy if part == "run.json" else shutil.copytree)(run / part, tmp_path / part)
    command = ["xlmd", "translate", "--run", ".", "--beam", "1"]
    text = "The doctor will treat the patient.\n\n"
    result = subprocess.run(command, cwd=tmp_path, input=text, capture_output=True, text=True)
    first, second = result.stdout.splitlines()
    assert first and not second


def test_another_mirror_downloads_nothing_anew(tmp_path):
    folder = checkout(tmp_path)
    (folder / "mirror/text").mkdir(parents=True)
    (folder / "mirror/text/test.de").write_text("Hund\n")
    splits = {
        split: [{side: f"https://example.invalid/{split}.{side}" for side in ("en", "de")}]
        for split in ("train", "dev", "test")
    }
    corpus = {"kind": "files", "base": "west", "languages": ["en", "de"], "splits": splits}
    edit(folder, corpora__text=corpus, mirror="mirror")
    target = "results/corpora/text/raw/test.de"
    snakemake(folder, target)
    assert (folder / target).read_text() == "Hund\n"
    edit(folder, mirror=None)
    assert planned(snakemake(folder, "--dry-run", target)) == {}


def test_a_system_of_the_configuration_is_decoded_as_its_entry_says(tmp_path):
    folder = checkout(tmp_path)
    edit(folder, systems__xlmd__decodings=["iterations=4-strategy=static"])
    run = "results/runs/en-de/xlmd-distilled-M=1-s=2.0/decodes"
    jobs = planned(snakemake(folder, "--dry-run", f"{run}/iterations=4-strategy=static/test.txt"))
    assert decoded(jobs) == 1 and "decode_otherwise" not in jobs


def test_a_base_from_elsewhere_is_fetched_and_imported_and_nothing_of_it_is_trained(tmp_path):
    folder = checkout(tmp_path)
    edit(folder, bases__west=IMPORTED)
    jobs = planned(snakemake(folder, "--dry-run", "results/bases/west/mlm/run.json"))
    assert jobs["fetch_package"] == jobs["import_tokenizer"] == jobs["import_model"] == 1
    assert not {"train_tokenizer", "pretrain_mlm"} & set(jobs)


def test_nothing_is_run_twice(finished):
    assert planned(snakemake(finished, "--dry-run", TABLE)) == {}


def test_another_m_trains_only_that_m(copy):
    edit(copy, grid__M=[0, 1, 2])
    jobs = planned(snakemake(copy, "--dry-run", TABLE))
    assert jobs["train"] == 2 and decoded(jobs) == 2
    assert not {"pretrain_mlm", "distill", "train_tokenizer", "encode", "preprocess"} & set(jobs)


def test_another_device_times_anew_but_trains_and_decodes_nothing(copy):
    edit(copy, device="cpu")
    jobs = planned(snakemake(copy, "--dry-run", TABLE))
    assert "latency" in jobs
    assert "train" not in jobs and "distill" not in jobs and decoded(jobs) == 0


def test_another_number_of_iterations_only_decodes(copy):
    edit(copy, grid__iterations=[2, 4, 8])
    jobs = planned(snakemake(copy, "--dry-run", TABLE))
    assert decoded(jobs) == 4 and "train" not in jobs
    run = "results/runs/en-de/xlmd-distilled-M=0-s=2.0/decodes"
    output = snakemake(copy, f"{run}/iterations=8/test.txt")
    assert (copy / run / "iterations=8/test.txt").exists()
    assert output.count("is there already") == 2


def test_any_run_and_decoding_is_a_target_by_its_name(finished):
    name = "results/runs/en-de/xlmd-original-M=1-s=1.5-reset=True/decodes/iterations=4-strategy=static"
    jobs = planned(snakemake(finished, "--dry-run", f"{name}/test.score.json"))
    assert jobs["train"] == jobs["decode_otherwise"] == jobs["score"] == 1 and "distill" not in jobs


def test_a_decoding_that_the_table_shows_of_one_system_is_a_target_of_any_other(tmp_path):
    name = "results/runs/en-de/cmlm-original/decodes/iterations=4"
    assert planned(snakemake(checkout(tmp_path), "--dry-run", f"{name}/test.txt"))["decode_otherwise"] == 1


def test_a_system_that_learns_from_the_reverse_teacher_has_it_trained_and_distilled(tmp_path):
    jobs = planned(snakemake(checkout(tmp_path), "--dry-run", "results/runs/en-de/cmlm_lfr-distilled/run.json"))
    assert jobs["distill"] == 2 and jobs["train"] == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xlmd-distilled-M=1-s=2.0-gama=0.5/decodes/iterations=4", "xlmd has no setting 'gama'"),
        ("xlmd-distilled-M=1-s=0.5/decodes/iterations=4", "s = 0.5: must be at least 1"),
        ("xlmd-distilled-M=1-s=2.0/decodes/iteration=4", "xlmd has no option 'iteration'"),
        ("xlmd-distilled-M=1-s=2.0/decodes/iterations=four", "iterations = 'four': expected a whole number"),
        ("transformer-original/decodes/beam=0", "beam = 0: must be at least 1"),
        ("xlmd-distilled-M=3-s=2.0/decodes/iterations=4", "M = 3, but the model of bases.west has 2 layers"),
        ("rnn-original/decodes/beam=1", "results/runs/en-de/rnn-original/run.json"),
    ],
)
def test_a_wrong_key_or_value_in_a_name_ends_the_dry_run(finished, name, message):
    output = snakemake(finished, "--dry-run", f"results/runs/en-de/{name}/test.txt", check=False)
    assert message in output and "Traceback (most recent" not in output


def test_another_s_trains_anew_from_the_same_teacher(copy):
    edit(copy, grid__s=1.5)
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
    module = tmp_path / "tree/xlmd/method/decoding.py"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "tree")}
    # An editable installation finds the package by a hook of its own, before any path: leave that out.
    start = (
        "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Redirecting' not in type(f).__name__];"
        "import snakemake.cli; snakemake.cli.main()"
    )
    command = [sys.executable, "-c", start, "--cores", "2", "--dry-run", TABLE, "--configfile", "micro.yaml"]

    def jobs(command=command):
        result = subprocess.run(command, cwd=copy, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return planned(result.stdout + result.stderr)

    assert set(jobs()) == {"table", "total"}, "this package has its own copies of the paper's tables"
    jobs([argument for argument in command if argument != "--dry-run"])
    assert jobs() == {}
    module.touch()
    assert jobs() == {}
    module.write_text(module.read_text() + "\n# a comment\n")
    assert jobs() == {}
    module.write_text(module.read_text() + "\nEDITED = 1\n")
    assert {"train", "latency"} <= set(jobs()) and decoded(jobs())
    assert not {"train_tokenizer", "preprocess", "encode", "pretrain_mlm"} & set(jobs())


def test_a_training_job_killed_half_way_continues_to_the_same_table(finished, tmp_path):
    folder = checkout(tmp_path)
    edit(folder, systems__xlmd__trainer__steps=6)
    process = subprocess.Popen(
        ["snakemake", "--cores", "1", TABLE, "--configfile", "micro.yaml"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    checkpoint = "results/runs/*/xlmd-*/checkpoints/step-*/state.pt"
    deadline = time.monotonic() + 300
    while not list(folder.glob(checkpoint)):
        assert time.monotonic() < deadline and process.poll() is None, "no checkpoint appeared"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(folder.glob(checkpoint)), "the job was over before it could be killed"
    snakemake(folder, "--unlock")
    assert "continuing from the checkpoint of step" in snakemake(folder, TABLE)
    for row, reference in zip(read_table(folder), read_table(finished), strict=True):
        # Only the time it took may differ.
        assert row | {"speedup": None} == reference | {"speedup": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sytems": {}}, "sytems"),
        ({"systems__xlmd__settings__gama": 0.5}, "gama"),
        ({"grid__M": [0, 3]}, "grid.M: M = 3"),
        ({"grid__s": 0.5}, "grid.s: 0.5"),
        ({"seed": "one"}, "seed: 'one'"),
        ({"seed": 2**63}, "seed: 9223372036854775808 is greater than"),
        ({"grid__analysis": "en-it"}, "grid.analysis: en-it"),
        ({"directions": [{"pair": "en-de", "corpus": "wmt"}]}, "directions: en-de wants corpus 'wmt'"),
        ({"directions": [{"pair": "en-fr", "corpus": "phrasebook"}]}, "directions: en-fr wants 'fr'"),
        ({"directions": [{"pair": "en-en", "corpus": "phrasebook"}]}, "directions: en-en translates"),
        ({"directions": 2 * [{"pair": "en-de", "corpus": "phrasebook"}]}, "directions: en-de is there more than once"),
        ({"directions": [{"corpus": "phrasebook"}]}, "directions.0: 'pair' is a required property"),
        ({"directions": "en-de"}, "directions: 'en-de'"),
        ({"corpora__phrasebook": None}, "corpora.phrasebook: None"),
        ({"bases__west__text__corpus": "wmt"}, "bases.west.text: it wants corpus 'wmt'"),
        ({"corpora__phrasebook__base": "wide"}, "bases.west.text: corpus 'phrasebook' has another base"),
        ({"corpora__phrasebook__base": "east"}, "corpora.phrasebook.base: 'east'"),
        (
            {
                "grid__compared": [
                    {"system": "cmlm", "tables": ["table4"], "decodings": ["iterations=4"]} | {"directions": ["en-it"]}
                ]
            },
            "grid.compared.0.directions: en-it",
        ),
        (
            {"grid__compared": [{"system": "rnn", "tables": ["table4"], "decodings": ["iterations=4"]}]},
            "grid.compared.0.system: 'rnn'",
        ),
        ({"further_directions": [{"pair": "en-de", "corpus": "phrasebook"}]}, "further_directions: en-de is there"),
        ({"bases__west__text__languages": ["en", "fr"]}, "bases.west.text: it wants 'fr'"),
        ({"bases__west__tokenizer__vocabulary": None}, "bases.west.tokenizer.vocabulary: None"),
        ({"bases__west__mlm__trainer__threads": 0}, "bases.west.mlm.trainer.threads: 0"),
        ({"bases__west__mlm__shape__layers": 0}, "bases.west.mlm.shape.layers: 0"),
        ({"bases__west__mlm": {"source": "xlm-roberta-base"}}, "bases.west.tokenizer.source: a model from elsewhere"),
        ({"bases__west__vocabulary": "corpus"}, "bases.west.vocabulary: a tokenizer that is trained here"),
        ({"bases__wide": IMPORTED}, "bases.wide.vocabulary: no direction has this base"),
        ({"bases__west": IMPORTED | {"mlm": {"source": E5, "layers": 13}}}, f"bases.west.mlm.layers: {E5} has 12"),
        ({"bases__west": IMPORTED, "grid__M": [0, 7]}, "grid.M: M = 7, but the model of bases.west has 6 layers"),
        ({"bases__west": IMPORTED | {"mlm": {"source": "xlmr"}}}, "bases.west.mlm.source: 'xlmr' is neither a folder"),
        (
            {"bases__west": IMPORTED | {"mlm": {"source": "xlm-roberta-base", "via": "package"}}},
            "bases.west.mlm.source: 'xlm-roberta-base' cannot be had via package",
        ),
        ({"models": {"mine": {"licence": "MIT"}}, "bases__west__mlm__source": "mine"}, "models.mine"),
        ({"models": {"mine": None}, "bases__west__mlm__source": "mine"}, "models.mine: None"),
        ({"systems__xlmd__trainer__steps": -1}, "systems.xlmd.trainer.steps: -1"),
        ({"systems__transformer__decoding__beam": 0}, "systems.transformer.decoding.beam: 0"),
        ({"systems__xlmd__decodings": ["four"]}, "systems.xlmd.decodings.0: 'four'"),
        ({"systems__rnn": {}}, "systems"),
        (
            {"corpora__phrasebook__languages": ["en", False]},
            "languages.1: False is not of type",
        ),
        ({"corpora": {False: {}}}, "corpora: a key is False, not a text; YAML takes no,"),
        ({"systems__xlmd__settings": {1: 2}}, "systems.xlmd.settings: a key is 1, not a text"),
        ({"latency__runs": 1.0}, "latency.runs: 1.0 is not of type 'integer'"),
        ({"scale__name": 2016}, "scale.name: 2016 is not of type 'string'; YAML takes no,"),
        ({"systems__xlmd__trainer__peak_lr": "1e-3"}, "peak_lr: '1e-3' is not of type 'number'; YAML takes a number"),
        ({"systems__xlmd__trainer__peak_lr": float("inf")}, "peak_lr: inf is not a finite number"),
        ({"systems__xlmd__trainer__warmup_steps": -1}, "warmup_steps: -1"),
        ({"directions": [{"pair": "en-de\n", "corpus": "phrasebook"}]}, "directions.0.pair: 'en-de\\n': expected two"),
        ({"corpora__a/b": {}}, "corpora: 'a/b': expected the name of a folder"),
        ({"corpora__-a": {}}, "corpora: '-a': expected the name of a folder"),
        *(
            ({"results": name}, f"results: {name!r}: expected a relative path")
            for name in ("", ".", "..", "/a", "a/", "./a", "a//b", "-a", "~a", " a", "a ", "a\n", "a{b}")
        ),
    ],
)
def test_a_bad_configuration_ends_at_once_and_names_the_key(change, message):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    micro = yaml.safe_load((ROOT / "tests/micro.yaml").read_text())
    update_config(config, changed(micro, **change))
    for name in ("west", "wide"):
        if change.get(f"bases__{name}", {}).get("vocabulary"):
            config["bases"][name] = change[f"bases__{name}"]  # in place of what is trained there
    with pytest.raises(UserError) as error:
        resolve_models(config)
        check_config(config)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["r", "my runs", "a(b)", "../a", "a/b c", ".a", "é", "O'Brien", 'a"b', "a$b", "a\\b"])
def test_results_may_have_any_name_that_a_folder_may_have(name):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    check_config(config | {"results": name})


def test_a_bad_configuration_stops_snakemake_with_that_message(tmp_path):
    folder = checkout(tmp_path)
    edit(folder, directions=[{"corpus": "phrasebook"}])
    output = snakemake(folder, "--dry-run", TABLE, check=False)
    assert "config, at directions.0: 'pair' is a required property" in output and "Traceback" not in output


@pytest.mark.parametrize("scale", ["tests/micro.yaml", *sorted(str(path) for path in ROOT.glob("config/*.yaml"))])
def test_the_scales_that_come_with_the_project_are_good(scale):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    check_config(config)
    update_config(config, yaml.safe_load((ROOT / scale).read_text()))
    resolve_corpora(config)
    resolve_models(config)
    check_config(config)


def test_a_direction_may_train_otherwise(tmp_path):
    folder = checkout(tmp_path)
    edit(
        folder,
        directions=[
            {"pair": "en-de", "corpus": "phrasebook", "trainer": {"steps": 7}},
            {"pair": "de-en", "corpus": "phrasebook"},
        ],
    )
    output = snakemake(folder, "--dry-run", "--printshellcmds", TABLE)
    commands = [line for line in output.splitlines() if "xlmd train xlmd" in line]
    steps = {line.split("--direction ")[1][:5]: line.split("--steps ")[1].split()[0] for line in commands}
    assert steps == {"en-de": "7", "de-en": "6"}


@pytest.mark.parametrize(
    "path",
    [
        "latency",
        "latency.threads",
        "distillation.threads",
        "bases.west.tokenizer.vocabulary",
        "bases.west.mlm.shape",
        "bases.west.mlm.trainer.threads",
        "bases.west.text",
        "systems.transformer",
        "systems.xlmd.trainer.threads",
        "corpora.phrasebook.sizes",
    ],
)
def test_a_missing_key_is_named(path):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    *parents, key = path.split(".")
    entry = config
    for parent in parents:
        entry = entry[parent]
    del entry[key]
    with pytest.raises(UserError) as error:
        check_config(config)
    place = ".".join(parents) or "(top level)"
    assert f"config, at {place}: " in str(error.value) and f"'{key}'" in str(error.value)


def test_the_schema_lists_exactly_the_settings_of_the_code():
    from xlmd.schema import settings_schema

    written = yaml.safe_load((ROOT / "xlmd/resources/schemas/settings.schema.yaml").read_text())
    assert written == yaml.safe_load(yaml.safe_dump(settings_schema(), allow_unicode=True))
