"""The grid: which points each table shows, and that they are shared."""

import pytest
import yaml
from results_example import ROOT

from xlmd.experiment.points import Point
from xlmd.experiment.tables import TABLES, cells, points, timed


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def paths(found):
    return {cell.point.path for cell in found}


def test_a_points_folder_says_what_it_is():
    point = Point("en-de", "xlmd", "distilled", (("M", 3), ("s", 2.0)), (("iterations", 4), ("strategy", "static")))
    assert point.run == "en-de/xlmd-distilled-M=3-s=2.0"
    assert point.path == "en-de/xlmd-distilled-M=3-s=2.0/decodes/iterations=4-strategy=static"


def test_table_1_has_every_m_and_number_of_iterations_in_every_direction(config):
    ours = [cell for cell in cells(config, "table1") if cell.point.system == "xlmd"]
    assert len(ours) == 4 * 2 * 3
    baselines = [cell.column for cell in cells(config, "table1") if cell.point.system == "transformer"]
    assert baselines == ["en-de", "de-en", "en-ro", "ro-en"]


def test_a_run_that_several_tables_show_is_one_run(config):
    everything = {point.run for point in points(config, *TABLES)}
    assert len(everything) < sum(len({point.run for point in points(config, table)}) for table in TABLES)
    assert paths(cells(config, "table10")) <= paths(cells(config, "table1"))
    assert {p.run for p in points(config, "table9")} <= {p.run for p in points(config, "table1")}


def test_another_seed_is_another_run_and_the_first_keeps_its_name(config):
    config["grid"]["seeds"] = [1, 2]
    runs = {point.run for point in points(config, "table5")}
    assert "en-de/xlmd-distilled-M=0-s=2.0" in runs and "en-de/xlmd-distilled-M=0-s=2.0-seed=2" in runs


def test_a_compared_system_is_shown_where_its_entry_says(config):
    entry = {"system": "cmlm", "tables": ["table1"], "directions": ["de-en"], "decodings": ["iterations=10"]}
    config["grid"]["compared"] = [entry]
    shown = [cell.column for cell in cells(config, "table1") if cell.point.system == "cmlm"]
    assert shown == ["de-en"]
    assert not [cell for cell in cells(config, "table4") if cell.point.system == "cmlm"]


@pytest.mark.parametrize("table", ["table1", "table2", "table4", "table8", "table10", "figure2"])
def test_speeds_are_over_the_baseline_in_both_engines_and_each_model_is_timed_once(config, table):
    found = timed(config, table)
    assert found[0].system == found[1].system == "transformer"
    assert dict(found[1].decoding) == {"engine": "ctranslate2"}
    assert {point.direction for point in found} == {config["grid"]["analysis"]}
    assert len({(point.system, point.settings, point.decoding) for point in found}) == len(found)


def test_tables_without_speeds_time_nothing(config):
    assert timed(config, "table5") == []


def test_the_case_study_is_of_the_opposite_direction(config):
    assert {cell.point.direction for cell in cells(config, "table11")} == {"de-en"}


def test_of_several_seeds_the_first_is_timed(config):
    config["grid"]["seeds"] = [1, 2]
    assert {point.seed for point in timed(config, "figure2")} == {None}


def test_tables_that_show_the_same_systems_show_the_same_times(config):
    for table, other in (("table10", "table1"), ("table8", "table2")):
        assert timed(config, table) == timed(config, other)


def test_a_system_trained_on_both_kinds_of_data_is_timed_on_distilled_ones(config):
    assert {point.data for point in timed(config, "table4") if point.system == "cmlm"} == {"distilled"}


@pytest.mark.parametrize("table", TABLES)
def test_a_number_of_iterations_is_shown_once(config, table):
    config["grid"]["iterations"] = [1, 2, 4, 8]
    shown = [(cell.column, cell.point) for cell in cells(config, table)]
    assert len(shown) == len(set(shown))


def test_a_whole_number_and_its_fraction_are_one_s(config):
    config["grid"]["s"] = 2
    config["grid"]["upsampling"] = [2]
    assert {point.run for point in points(config, "table5")} == {"en-de/xlmd-distilled-M=0-s=2.0"}


def test_decodings_of_the_configuration_in_any_order_have_one_name(config):
    first = points(config, "table1")[0].path
    decoding = config["systems"]["transformer"]["decoding"]
    config["systems"]["transformer"]["decoding"] = dict(reversed(decoding.items()))
    assert points(config, "table1")[0].path == first
