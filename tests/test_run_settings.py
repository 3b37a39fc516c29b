"""A run's name says how it is trained; what it cannot mean ends everything before anything is made."""

from pathlib import Path

import pytest

from xlmd.errors import UserError
from xlmd.experiment.configuration import read_definitions
from xlmd.experiment.run_settings import RunSettings, load_config

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def settings():
    return RunSettings(load_config([ROOT / "config.yaml"]), read_definitions())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("M=2-M=1", "xlmd-distilled-M=2-M=1: it says the same key more than once"),
        ("M=5", "M = 5, but the model of bases.west has 4 layers"),
        ("M=²", "M = '²': expected a whole number"),
        ("s=inf", "s = 'inf': expected a number"),
        ("m=2", "xlmd has no setting 'm'"),
        ("iterations=4", "xlmd has no setting 'iterations'"),
    ],
)
def test_a_wrong_key_or_value_in_a_runs_name_is_named(settings, name, message):
    with pytest.raises(UserError, match=message):
        settings.find(f"en-de/xlmd-distilled-{name}")


def test_how_many_layers_a_named_model_has_is_its_own_matter(settings):
    assert settings.find("en-de/xlmd-distilled-M=5-mlm=other").overrides["M"] == "5"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("iterations=4-iterations=2", "it says the same key more than once"),
        ("Iterations=4", "xlmd has no option 'Iterations'"),
        ("blank_penalty=nan", "blank_penalty = 'nan': expected a number"),
    ],
)
def test_a_wrong_key_or_value_in_a_decodings_name_is_named(settings, name, message):
    with pytest.raises(UserError, match=message):
        settings.check_decoding("xlmd", name)


@pytest.mark.parametrize("text", ["- seed: 1", "seed 1", "# seed: 1", "2016"])
def test_a_file_without_keys_is_no_configuration(tmp_path, text):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(UserError, match=r"own\.yaml holds no keys"):
        load_config([ROOT / "config.yaml", tmp_path / "own.yaml"])
