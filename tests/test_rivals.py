"""config/rivals.yaml: the tables with every system of the project in them."""

from pathlib import Path

import pytest
import yaml

from xlmd.experiment.configuration import read_definitions
from xlmd.experiment.grid import BASELINE, OURS
from xlmd.experiment.run_settings import RunSettings, load_config
from xlmd.experiment.tables import TABLES, points
from xlmd.files import RESOURCES
from xlmd.options import parse_options
from xlmd.reporting.paper import read_paper
from xlmd.systems import find_system, system_names

ROOT = Path(__file__).parents[1]
OVERLAY = ROOT / "config/rivals.yaml"


@pytest.fixture(scope="module")
def config():
    return load_config([ROOT / "config.yaml", OVERLAY])


@pytest.fixture(scope="module")
def added(config):
    """What it shows beyond config.yaml: (table, point)."""
    plain = load_config([ROOT / "config.yaml"])
    return [(table, point) for table in TABLES for point in points(config, table) if point not in points(plain, table)]


def test_it_changes_what_tables_compare_and_nothing_else():
    assert {key: list(value) for key, value in yaml.safe_load(OVERLAY.read_text()).items()} == {"grid": ["compared"]}


def test_whatever_tables_show_without_it_they_show_with_it(config):
    plain = load_config([ROOT / "config.yaml"])
    for table in TABLES:
        assert set(points(plain, table)) <= set(points(config, table))


def test_every_system_stands_in_a_table(config):
    assert {entry["system"] for entry in config["grid"]["compared"]} == set(system_names()) - {BASELINE, OURS}


@pytest.mark.parametrize("table", ["table1", "table2", "table4", "table10"])
def test_every_row_of_the_paper_that_is_a_systems_here_is_measured(config, table):
    measured = set()
    for point in points(config, table):
        if point.system not in (BASELINE, OURS):
            system = find_system(point.system)
            texts = config["systems"][point.system]["decoding"] | dict(point.decoding)
            texts = {key: str(value) for key, value in texts.items() if value != "dev"}
            decoding = system.Decoding(**parse_options(system.Decoding, texts, point.path))
            measured.add((system.printed, system(system.Settings(), None).iterations_label(decoding)))
    ours = {find_system(name).printed for name in system_names()}
    quoted = {(row["system"], row["iterations"]) for row in read_paper(RESOURCES / f"paper/{table}.csv")}
    assert {row for row in quoted if row[0] in ours - {"Transformer"}} <= measured


def test_what_it_adds_is_trained_in_one_direction_on_distilled_data_and_known_to_the_workflow(config, added):
    settings = RunSettings(config, read_definitions())
    assert {(point.direction, point.data) for _, point in added} == {("en-de", "distilled")}
    for _, point in added:
        settings.find(point.run)
        settings.check_decoding(point.system, point.decoding_name)


def test_a_system_that_a_teacher_may_rescore_stands_bare_and_rescored(config):
    for name in system_names():
        if hasattr(find_system(name).Decoding(), "rescore"):
            decodings = [dict(point.decoding) for point in points(config, "table2") if point.system == name]
            assert sorted("rescore" in decoding for decoding in decodings) == [False, True]


def test_all_are_trained_for_as_many_updates_but_one_that_goes_on_from_a_trained_model(config):
    updates = {name: entry["trainer"]["steps"] for name, entry in config["systems"].items()}
    started = {name for name in updates if set(find_system(name).pretrained.values()) & set(updates)}
    assert started == {"bag_of_ngrams"}
    assert {updates[name] for name in set(updates) - started - {BASELINE, OURS}} == {updates["cmlm"]}


@pytest.mark.parametrize("scale", ["multi30k-cpu", "multi30k", "paper"])
def test_at_every_scale_all_are_of_cmlms_size_and_see_as_many_tokens_an_update(scale):
    """The embedded scale's own settings, which overlays lie over, are too small for any other."""
    systems = load_config([ROOT / "config.yaml", ROOT / f"config/{scale}.yaml", OVERLAY])["systems"]
    size = ("encoder_layers", "decoder_layers", "d_model", "ffn", "heads")
    batch = ("max_tokens", "accumulation", "processes", "precision", "threads")
    for name in set(system_names()) - {BASELINE, OURS}:
        settings, trainer = systems[name]["settings"], systems[name]["trainer"]
        if name not in ("abnet", "abnet_enc"):
            assert [settings[key] for key in size] == [systems["cmlm"]["settings"][key] for key in size]
        assert {key: trainer.get(key) for key in batch} == {key: systems["cmlm"]["trainer"].get(key) for key in batch}
        assert settings["dropout"] > 0


def test_the_page_of_systems_tells_of_each():
    page = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
    for name in set(system_names()) - {BASELINE, OURS}:
        assert f"`{name}.py`" in page or f"/{name}.py`" in page
