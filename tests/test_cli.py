import io
import json

import pytest
from results_example import arguments, example_config, write_results

from xlmd import cli
from xlmd.devices import pick_device
from xlmd.errors import UserError
from xlmd.experiment.layout import Layout
from xlmd.experiment.names import parse_decoding
from xlmd.files import write_lines
from xlmd.options import from_mapping
from xlmd.reporting.curves import curves
from xlmd.reporting.samples import samples
from xlmd.systems import find_system, system_names
from xlmd.train.settings import TrainerSettings
from xlmd.translate.decodings import decoding_options

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


@pytest.mark.parametrize("verb", list(cli.VERBS))
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
    assert system_names() == [
        *(
            "abnet",
            "abnet_enc",
            "axe",
            "bag_of_ngrams",
            "bag_of_ngrams_joint",
            "cmlm",
            "cmlm_lfr",
            "disco",
            "glat",
            "iter_nat",
            "levt",
            "nat",
            "nat_fertility",
            "transformer",
            "xlmd",
        )
    ]
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
    [
        ("beam=4", "'beam'"),
        ("iterations=four", "iterations = .four.: expected a whole number"),
        ("four", "'four' does not name a decoding"),
    ],
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


def translating(tmp_path, monkeypatch, capsys, text, *flags):
    """What `xlmd translate` prints and says of `text` on standard input; the run's translations repeat their source."""

    class Copying:
        tokenizer = None

        class Decoding:
            pass

        def longest_source(self, model):
            return 4

        def translate(self, model, sources, decoding):
            assert all(len(source) <= 4 for source in sources)
            return sources

    folder = run_folder(tmp_path)
    monkeypatch.setattr("xlmd.translate.text.load_engine", lambda *_: (Copying(), None))
    monkeypatch.setattr("xlmd.translate.text.subword_encoder", lambda _: lambda lines: [line.split() for line in lines])
    monkeypatch.setattr("xlmd.translate.text.decode_ids", lambda _, ids: " ".join(ids))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    monkeypatch.setattr(cli, "_decoding", lambda *_: {})
    status = 0
    try:
        cli.main(["translate", "--run", str(folder), "--tokenizer", "none", "--tokenize", "none", *flags])
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def test_translate_reads_utf8_whatever_the_locale_and_keeps_every_line(tmp_path, monkeypatch, capsys):
    status, out, _ = translating(tmp_path, monkeypatch, capsys, "\ufeffäß\r\n\nzwei Wörter".encode())
    assert (status, out) == (0, "äß\n\nzwei Wörter\n")


def test_translate_gives_a_line_for_each_line_however_long_or_empty(tmp_path, monkeypatch, capsys):
    text = "\0\n \n" + "wort " * 10_000 + "\neins\0zwei\nein kurzer Satz. Und ein zweiter Satz!\n"
    _, out, err = translating(tmp_path, monkeypatch, capsys, text.encode(), "--batch-size", "3")
    assert out == "\n\n" + ("wort " * 10_000).strip() + "\neins zwei\nein kurzer Satz. Und ein zweiter Satz!\n"
    assert "5/5" in err


def test_translate_reads_and_writes_files(tmp_path, monkeypatch, capsys):
    (tmp_path / "in.txt").write_text("eins\n\nzwei\n")
    files = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt")]
    status, out, _ = translating(tmp_path, monkeypatch, capsys, b"", *files)
    assert (status, out, (tmp_path / "out.txt").read_text()) == (0, "", "eins\n\nzwei\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch-size", "0"], "batch = 0"),
        (["--threads", "0"], "threads = 0"),
        (["--input", "nowhere.txt"], "nowhere.txt"),
        (["--input", ""], "--input: no name"),
        (["--output", ""], "--output: no name"),
    ],
)
def test_a_wrong_flag_of_translate_is_named(tmp_path, monkeypatch, capsys, flags, message):
    status, _, err = translating(tmp_path, monkeypatch, capsys, b"text\n", *flags)
    assert status == 2 and message in err


@pytest.mark.parametrize("text", [b"good\nb\xffd\n", b"good\n\xc3", b"good\n" + "b\xf6se".encode("latin-1")])
def test_invalid_utf8_on_standard_input_is_named_by_its_line(tmp_path, monkeypatch, capsys, text):
    status, out, err = translating(tmp_path, monkeypatch, capsys, text)
    assert (status, out) == (2, "") and "standard input, line 2: invalid UTF-8" in err


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "gpu", "CPU", ""])
def test_a_device_that_is_not_there_is_named_with_those_that_are(tmp_path, monkeypatch, capsys, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, _, err = translating(tmp_path, monkeypatch, capsys, b"text\n", "--device", device)
    assert status == 2 and f"device = {device!r}" in err and "only auto, cpu" in err


def test_a_device_is_the_one_that_is_named(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    named = {name: str(pick_device(name)) for name in ("auto", "cpu", "cuda", "cuda:1")}
    assert named == {"auto": "cuda", "cpu": "cpu", "cuda": "cuda", "cuda:1": "cuda:1"}
    with pytest.raises(UserError, match="cuda:2"):
        pick_device("cuda:2")


@pytest.mark.parametrize("files", [["dev.en"], ["dev.en", "dev.de", "test.en"]])
def test_an_odd_number_of_held_out_files_of_a_pair_is_named(tmp_path, capsys, files):
    pair = ["--source", "a", "--language", "en", "--target", "b", "--target-language", "de", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        cli.main(["preprocess", *pair, "--held-out", *files])
    assert end.value.code == 2 and f"--held-out: {len(files)} files" in capsys.readouterr().err


def test_training_explains_both_of_its_forms_and_each_systems_settings(capsys):
    for argv, expected in ((["--help"], ["xlmd train RUN-NAME", "xlmd train SYSTEM"]), (["cmlm", "--help"], ["--ffn"])):
        with pytest.raises(SystemExit) as end:
            cli.main(["train", *argv])
        shown = capsys.readouterr().out
        assert end.value.code == 0 and all(text in shown for text in expected)
