import json

import pytest
from results_example import arguments, example_config, write_results

from xlmd import cli
from xlmd.errors import UserError
from xlmd.experiment.layout import Layout
from xlmd.files import write_lines
from xlmd.options import from_mapping
from xlmd.reporting.curves import curves
from xlmd.reporting.samples import samples
from xlmd.systems import find_system, system_names
from xlmd.train.loop import TrainerSettings
from xlmd.translate.decode import decoding_options, parse_decoding

REQUIRED = ("direction", "tokenizer", "source", "target", "dev_source", "dev_reference", "out")


def run_folder(tmp_path, system="xlmd", **settings):
    folder = tmp_path / "runs/en-de" / system
    folder.mkdir(parents=True)
    description = {"system": system, "direction": "en-de", "settings": settings}
    (folder / "run.json").write_text(json.dumps({"description": description, "seed": 1}))
    return folder


def test_help_lists_every_verb_with_what_it_does(capsys):
    cli.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown and verb.__doc__.splitlines()[0] in shown for name, verb in cli.VERBS.items())


@pytest.mark.parametrize("verb", [verb for verb in cli.VERBS if verb not in ("train", "pretrain")])
def test_every_verb_explains_its_flags(verb, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0 and "--" in capsys.readouterr().out


def test_a_user_error_ends_with_its_message_and_status_2(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        cli.main(
            ["encode", "--text", str(tmp_path / "missing"), "--tokenizer", str(tmp_path), "--out", str(tmp_path / "x")]
        )
    message = capsys.readouterr().err
    assert end.value.code == 2 and message.startswith("error: ") and "Traceback" not in message


def test_an_unknown_verb_or_system_is_answered_with_the_known_ones(capsys):
    with pytest.raises(SystemExit, match="translate"):
        cli.main(["trasnlate"])
    with pytest.raises(SystemExit):
        cli.main(["train", "xlm-d"])
    assert "transformer, xlmd" in capsys.readouterr().err


def test_the_registry_finds_each_file_of_the_package():
    assert system_names() == ["cmlm", "transformer", "xlmd"]
    assert [find_system(name).name for name in system_names()] == system_names()


def test_an_unknown_setting_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="'stepps'.*steps"):
        from_mapping(TrainerSettings, {"stepps": 3})


def test_a_decodings_name_spells_its_options_over_the_defaults(tmp_path):
    run = str(run_folder(tmp_path))
    assert parse_decoding("iterations=4-strategy=static") == {"iterations": "4", "strategy": "static"}
    defaults = {"xlmd": {"strategy": "dynamic", "static_block": 6}, "transformer": {"beam": 5}}
    options = decoding_options(run, "iterations=4-strategy=static", defaults)
    assert options == {"iterations": 4, "strategy": "static", "static_block": 6}


def test_dev_stands_for_the_value_that_the_run_chose_on_the_dev_set(tmp_path):
    folder = run_folder(tmp_path)
    with pytest.raises(UserError, match="blank_penalty=dev"):
        decoding_options(str(folder), "iterations=4-blank_penalty=dev", {})
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"chosen": {"blank_penalty": 1.5}}))
    options = decoding_options(str(folder), "iterations=4-blank_penalty=dev", {})
    assert options == {"iterations": 4, "blank_penalty": 1.5}


@pytest.mark.parametrize(
    ("name", "message"),
    [("beam=4", "'beam'"), ("iterations=four", "iterations=four"), ("four", "'four' does not name a decoding")],
)
def test_a_decoding_that_the_system_does_not_know_is_named(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        decoding_options(str(run_folder(tmp_path)), name, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": 0}, "iterations = 0: must be at least 1"),
        ({"strategy": "fast"}, "strategy = 'fast': expected one of dynamic, static"),
        ({"committed": "remaskk"}, "committed = 'remaskk'"),
    ],
)
def test_a_decoding_option_out_of_range_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        find_system("xlmd").Decoding(**settings)


def test_an_unknown_flag_of_training_is_named_without_a_traceback(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "xlmd", "--gama", "1", *(x for f in REQUIRED for x in (f"--{f}", "x"))])
    assert end.value.code == 2 and "unknown flags: --gama 1" in capsys.readouterr().err


def test_samples_are_the_first_lines_of_each_direction_whatever_they_say(tmp_path):
    config = example_config(tmp_path, M=[2], iterations=[4])
    config["directions"] = config["directions"][:1]
    config["further_directions"] = []
    write_results(config, "table1", translation=lambda point, number: f"{point.system} {number}")
    for side, language in ((0, "en"), (1, "de")):
        write_lines(Layout(config).text("en-de", "test", side), [f"{language} {number}" for number in range(16)])
    samples(arguments(config, "table1")["config"], "table1", tmp_path / "out.md", 2)
    text = (tmp_path / "out.md").read_text()
    assert "1. source: en 0\n   - reference: de 0\n   - Transformer: transformer 0\n" in text
    assert "   - XLM-D (M=6), 4 iterations: xlmd 1\n" in text and "xlmd 2" not in text and "en 2" not in text


def test_curves_draws_each_kind_of_run_and_names_a_missing_one(tmp_path):
    folder = run_folder(tmp_path)
    (folder / "curves.csv").write_text("step,name,value\n10,loss,3.5\n20,loss,2.5\n20,bleu,4.0\n")
    curves([str(folder)], str(tmp_path / "curves.png"))
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="nowhere/curves.csv"):
        curves(["nowhere"], str(tmp_path / "other.png"))
