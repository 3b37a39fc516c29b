"""The paper's tables: what was measured stands in the right cell, and what was not is empty."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from results_example import PAPER, SIGNATURE, arguments, bleu, example_config, make_table, write_results

from xlmd.errors import UserError
from xlmd.experiment.points import Point
from xlmd.experiment.tables import TABLES, cells
from xlmd.files import read_json, write_json
from xlmd.reporting.make import make
from xlmd.reporting.results import score_shown

TABLE_NAMES = [table for table in TABLES if table.startswith("table")]
SCORED = [table for table in TABLE_NAMES if table not in ("table7", "table11")]


def paper(number):
    return pd.read_csv(PAPER / f"table{number}.csv", dtype=str, keep_default_na=False)


def read(path, keys=("system", "iterations")):
    return pd.read_csv(path, dtype=str, keep_default_na=False).set_index(list(keys), drop=False)


@pytest.fixture
def made(tmp_path):
    """Makes a table from invented results and reads it back as text, rows by system and iterations."""

    def make_one(table="table1", grid=None, **kinds):
        config = example_config(tmp_path, **(grid or {}))
        make_table(config, table, **kinds)
        return read(arguments(config, table)["out_csv"])

    return make_one


@pytest.mark.parametrize("table", [table for table in SCORED if table != "table8"])
def test_every_cell_of_the_grid_shows_its_own_points_score_and_nothing_else_is_measured(table, tmp_path):
    config = example_config(tmp_path)
    made = make_table(config, table)
    found = {column.name: [] for column in made.columns}
    for _, column, _, measured in made.measured():
        found[column].append(measured.value)
    expected = {}
    for cell in cells(config, table):
        name = "bleu" if cell.column == "bleu" else f"{cell.column}_bleu"
        less = 0 if score_shown(cell.point.direction) == "bleu" else 1
        expected.setdefault(name, []).append(bleu(cell.point) - less)
    for column, values in expected.items():
        assert sorted(found.pop(column)) == sorted(values)
    assert not [column for column, values in found.items() if values and column != "speedup"]


@pytest.mark.parametrize("table", SCORED)
def test_rows_and_paper_cells_are_the_papers_in_its_order(table, tmp_path):
    config = example_config(tmp_path)
    make_table(config, table)
    rows = pd.read_csv(arguments(config, table)["out_csv"], dtype=str, keep_default_na=False)
    quoted = paper(table.removeprefix("table"))
    rows = rows.head(len(quoted))
    for column in quoted.columns.difference(["citation"]):
        name = column if column in ("group", "system", "iterations") else f"{column}_paper"
        assert list(rows[name]) == list(quoted[column]), column


def test_the_columns_of_table_1_are_those_promised(made):
    pairs = [f"{pair}_{kind}" for pair in ("en-de", "de-en", "en-ro", "ro-en") for kind in ("bleu", "paper")]
    expected = ["group", "system", "measured_as", "iterations", "speedup", "speedup_paper", *pairs]
    assert list(made().columns) == expected


def ours(direction, m, iterations, *settings, data="distilled", s=2.0, strategy=None):
    decoding = (("iterations", iterations), *([("strategy", strategy)] if strategy else []))
    return score(Point(direction, "xlmd", data, (("M", m), ("s", s), *settings), decoding))


def score(point):
    return f"{bleu(point):.2f}"


def test_a_cell_is_the_score_of_its_point(made):
    table = made()
    assert table.loc[("XLM-D (M=6)", "4"), "en-de_bleu"] == ours("en-de", 2, 4)
    assert table.loc[("XLM-D (M=0)", "2"), "ro-en_bleu"] == ours("ro-en", 0, 2)
    cmlm = Point("en-de", "cmlm", "distilled", decoding=(("iterations", 10),))
    assert table.loc[("CMLM", "10"), "en-de_bleu"] == ""
    entry = {"system": "cmlm", "tables": ["table1"], "directions": ["en-de"], "decodings": ["iterations=10"]}
    table = made(grid={"compared": [entry]})
    assert table.loc[("CMLM", "10"), "en-de_bleu"] == score(cmlm) and table.loc[("CMLM", "10"), "de-en_bleu"] == ""
    assert table.loc[("XLM-D (M=6)", "4"), "measured_as"] == "M=2 of 4 layers"
    assert table.loc[("Transformer", "N"), "measured_as"] == "2+2 layers, beam 5"


def test_a_measured_row_says_how_it_came_about(tmp_path):
    entry = {"system": "levt", "tables": ["table1"], "directions": ["en-de"], "decodings": ["iterations=10"]}
    config = example_config(tmp_path, compared=[entry])
    make_table(config, "table1")
    text = arguments(config, "table1")["out_md"].read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    (levt,) = [row for row in rows if row[0].startswith("en-de/levt") and "distilled" in row]
    assert levt[1:] == ["1", "distilled", "random weights", "700", "900", "2", "552273", "2.50", "6.25"]
    ours = [row for row in rows if row[0].startswith("de-en/xlmd") and "distilled" in row]
    assert {row[3] for row in ours} == {"results/mlm"} and {tuple(row[8:]) for row in ours} == {("", "")}


def test_what_was_not_measured_is_empty(made):
    table = made()
    for system in ("LaNMT", "Iter-NAT", "LevT", "DisCO", "CMLM-LFR"):
        assert (table.loc[system, ["measured_as", "speedup", "en-de_bleu"]] == "").all(axis=None)


def test_speedup_is_over_the_transformer_in_transformers(made):
    table = made()
    assert table.loc[("Transformer", "N"), "speedup"] == "1.0"
    assert table.loc[("XLM-D (M=6)", "2"), "speedup"] == "5.0"  # 40 ms / (5 · 2 − 2) ms
    assert table.loc[("XLM-D (M=0)", "8"), "speedup"] == "1.0"


def test_points_beyond_the_papers_are_appended_by_m_and_iterations(made):
    table = made(grid={"M": [0, 1, 2], "iterations": [2, 4, 10]})
    added = [("XLM-D (M=0)", "10"), ("XLM-D (M=3)", "2"), ("XLM-D (M=3)", "4"), ("XLM-D (M=3)", "10")]
    assert list(table.index[13:]) == [*added, ("XLM-D (M=6)", "10")]
    assert (table.iloc[13:][["speedup_paper", "en-de_paper", "ro-en_paper"]] == "").all(axis=None)


def test_a_direction_beyond_the_papers_gets_columns_at_the_end(tmp_path):
    config = example_config(tmp_path)
    config["directions"].append({"pair": "ro-de", "corpus": "phrasebook"})
    table = make_table(config, "table1")
    assert [column.name for column in table.columns][-2:] == ["ro-de_bleu", "ro-de_paper"]


def test_several_seeds_are_averaged_with_their_deviation(tmp_path):
    config = example_config(tmp_path, seeds=[1, 2, 6])
    make_table(config, "table5", score=lambda point: float(point.seed or 1))
    table = read(arguments(config, "table5")["out_csv"])
    row = table.loc[("XLM-D (M=0)", "4")]
    assert (row["s=2.0_bleu"], row["s=2.0_bleu_sd"]) == ("3.00", "2.65")
    text = arguments(config, "table5")["out_md"].read_text(encoding="utf-8")
    assert "3.00 ± 2.65" in text and "Seeds: 1, 2, 6 (mean ± standard deviation over them)" in text
    assert "3.00 $\\pm$ 2.65" in arguments(config, "table5")["out_tex"].read_text(encoding="utf-8")


def test_table_2_has_the_latent_transform_alone_at_every_m(made):
    table, only = made("table2"), ("add_and_scale", False)
    assert table.loc[("XLM-D with LT only", "1"), "en-de_bleu"] == ours("en-de", 0, 1, only)
    assert table.loc[("XLM-D with LT only (M=6)", "1"), "en-de_bleu"] == ours("en-de", 2, 1, only)


def test_table_3_is_scored_as_the_paper_scores_each_direction(made):
    table = made("table3")
    assert table.loc[("XLM-D (M=0)", "4"), "en-fr_bleu"] == ours("en-fr", 0, 4)  # BLEU of Moses tokens
    assert float(table.loc[("XLM-D (M=0)", "4"), "ja-en_bleu"]) == pytest.approx(
        float(ours("ja-en", 0, 4)) - 1, abs=0.011
    )  # sacreBLEU


def test_tables_4_to_6_put_the_variants_side_by_side(made):
    row = made("table4").loc[("XLM-D (M=0)", "1")]
    assert row["original_bleu"] == ours("en-de", 0, 1, data="original") and row["distilled_bleu"] == ours("en-de", 0, 1)
    assert made("table5").loc[("XLM-D (M=0)", "8"), "s=1.5_bleu"] == ours("en-de", 0, 8, s=1.5)
    row = made("table6").loc[("XLM-D (M=6)", "8")]
    assert row["reset_bleu"] == ours("en-de", 2, 8, ("reset", True)) and row["pretrained_bleu"] == ours("en-de", 2, 8)


@pytest.mark.parametrize("table", [*TABLE_NAMES[:6], *TABLE_NAMES[7:10]])
def test_a_single_iteration_among_the_configured_ones_is_no_rival_of_itself(made, table):
    assert len(made(table, grid={"iterations": [1, 2, 4, 8]}))


def test_table_7_gives_each_bucket_with_its_number_of_sentences(tmp_path):
    config = example_config(tmp_path)
    make_table(config, "table7")
    table = read(arguments(config, "table7")["out_csv"], ["bucket"])
    assert list(table.index) == ["1 to 9", "10 to 19", "20 to 29", "30 to 39", "40 and more"]
    longest = float(ours("en-de", 0, 2)) - 4
    assert (
        float(table.loc["40 and more", "T=2_bleu"]) == pytest.approx(longest)
        and table.loc["40 and more", "T=4_paper"] == "30.23"
    )
    assert set(table["sentences"]) == {"2"}


def test_table_8_gives_milliseconds(made):
    table = made("table8")
    assert table.loc[("Transformer", "N"), "latency_ms"] == "40.00"
    assert (
        table.loc[("XLM-D (M=6)", "1"), "latency_ms"] == "3.00" and table.loc["Transformer", "speedup"].item() == "1.0"
    )


def test_table_9_compares_the_strategies(made):
    row = made("table9").loc[("XLM-D (M=0)", "4")]
    assert row["en-de_static_bleu"] == ours("en-de", 0, 4, strategy="static")
    assert row["en-de_dynamic_bleu"] == ours("en-de", 0, 4)


def test_table_9_compares_the_strategies_whatever_the_configured_one(tmp_path):
    config = example_config(tmp_path)
    config["systems"]["xlmd"]["decoding"]["strategy"] = "static"
    columns = {cell.column: dict(cell.point.decoding).get("strategy") for cell in cells(config, "table9")}
    assert columns["en-de_static"] is None and columns["en-de_dynamic"] == "dynamic"
    config["systems"]["xlmd"]["settings"]["reset"] = True
    columns = {cell.column: dict(cell.point.settings).get("reset") for cell in cells(config, "table6")}
    assert columns == {"pretrained": False, "reset": None}


def test_the_same_results_give_the_same_bytes(tmp_path):
    def written():
        config = example_config(tmp_path)
        make_table(config, "table1")
        return [Path(arguments(config, "table1")[name]).read_bytes() for name in ("out_csv", "out_md", "out_tex")]

    first = written()
    assert written() == first and b"\r" not in first[0]


def test_the_markdown_says_what_was_measured_and_how(tmp_path):
    config = example_config(tmp_path)
    make_table(config, "table1")
    text = arguments(config, "table1")["out_md"].read_text(encoding="utf-8")
    for fact in (
        "Scale: **embedded**.",
        "in either direction; sentence pairs: train 12,000",
        "M=6 is M=2 of 4",
        f"`{SIGNATURE}`",
        "BLEU of the source copied unchanged: en-de 3.21",
        "500 sentences in 5 runs after 10 warm-up sentences",
        "Example CPU, 2 threads",
        "Seeds: 1.",
    ):
        assert fact in text


def test_the_markdown_gives_latency_against_both_engines_and_every_score(tmp_path):
    config = example_config(tmp_path)
    make_table(config, "table1")
    lines = arguments(config, "table1")["out_md"].read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    point = ["8.0", "7.0", "17.0", "0.25", "10.0", "125.0", "5.00", "0.75"]
    assert ["XLM-D (M=6)", "M=2 of 4 layers", "2", *point] in rows
    assert any(row[0] == "Transformer (CTranslate2)" for row in rows)
    protocol, scores = [row for row in rows if row[0] == "de-en/xlmd-distilled-M=2-s=2.0/decodes/iterations=4"]
    assert protocol[1:3] == ["1", "distilled"] and scores[1:3] == ["1", ours("de-en", 2, 4)]


def test_latex_is_a_booktabs_table(tmp_path):
    config = example_config(tmp_path)
    make_table(config, "table1")
    text = arguments(config, "table1")["out_tex"].read_text(encoding="utf-8")
    assert "\\toprule" in text and "\\bottomrule" in text and "\\label{tab:table1}" in text
    assert ours("en-de", 2, 4) in text and "&" in text


def translation(point, number):
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    return words.replace("five", "5") if number == 3 and point.system == "xlmd" else words


def texts(config, lengths):
    for language in ("de", "en"):
        path = Path(config["results"]) / "corpora/phrasebook/de-en" / f"test.{language}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(" ".join(["word"] * length) + "\n" for length in lengths), encoding="utf-8")


@pytest.mark.parametrize(("length", "number"), [(14, 4), (4, 1)])
def test_the_case_study_follows_its_rule_and_marks_the_differences(tmp_path, length, number):
    config = example_config(tmp_path)
    write_results(config, "table11", translation=translation)
    texts(config, [14, 14, 14, length, *[14] * 12])
    make("table11", **arguments(config, "table11"))
    text = arguments(config, "table11")["out_md"].read_text(encoding="utf-8")
    assert f"Sentence {number} of the de-en test set" in text
    assert ("four **5** six" in text and "four **five** six" in text) == (number == 4)


def test_the_case_study_wants_as_many_translations_as_references(tmp_path):
    config = example_config(tmp_path)
    write_results(config, "table11")
    texts(config, [14])
    with pytest.raises(UserError, match=r"test\.txt has 16 lines, not 1"):
        make("table11", **arguments(config, "table11"))


def test_two_runs_for_one_cell_are_an_error(tmp_path):
    config = example_config(tmp_path, M=[0, 1, 2])
    write_results(config, "table1")
    run = Path(config["results"]) / "runs/en-de/xlmd-distilled-M=1-s=2.0/run.json"
    record = read_json(run)
    record["description"]["label"] = "XLM-D (M=6)"
    write_json(run, record)
    with pytest.raises(UserError, match=r"M=1-s=2\.0/decodes/iterations=2 and .* both claim one cell"):
        make("table1", **arguments(config, "table1"))
    assert not arguments(config, "table1")["out_csv"].exists()


def test_a_missing_result_is_named(tmp_path):
    config = example_config(tmp_path)
    write_results(config, "table1")
    run = Path(config["results"]) / "runs/de-en/xlmd-distilled-M=2-s=2.0"
    (run / "decodes/iterations=4/test.score.json").unlink()
    with pytest.raises(UserError, match=r"cannot read .*iterations=4/test\.score\.json"):
        make("table1", **arguments(config, "table1"))
    (run / "run.json").unlink()
    with pytest.raises(UserError, match=r"cannot read .*M=2-s=2\.0/run\.json"):
        make("table1", **arguments(config, "table1"))


def test_several_seeds_are_timed_once_and_studied_once(tmp_path):
    config = example_config(tmp_path, seeds=[1, 2])
    assert {row["iterations"] for row, *_ in make_table(config, "table8").measured()} == {"N", "1"}
    write_results(config, "table11", translation=translation)
    texts(config, 16 * [14])
    made = make("table11", **arguments(config, "table11"))
    assert [row["who"] for row in made.rows] == ["Source", "Target", "Transformer", "XLM-D (M=6), 8 iterations"]


CELLS = {1: 59, 2: 59, 3: 24, 4: 18, 5: 16, 6: 18, 7: 15, 8: 8, 9: 24, 10: 12}  # what the paper prints, less dashes


@pytest.mark.parametrize("number", CELLS)
def test_no_number_of_the_paper_is_missing(number):
    table = paper(number)
    names = table.columns.difference(["group", "system", "citation", "iterations", "min_length", "max_length"])
    assert (table[names] != "").sum(axis=None) == CELLS[number]


def test_the_papers_tables_agree_where_they_repeat_each_other():
    def point(number, system, iterations, column):
        table = paper(number)
        return table[(table["system"] == system) & (table["iterations"] == iterations)][column].item()

    def row(number, iterations, column):
        table = paper(number)
        return table[table["iterations"] == iterations][column].item()

    for t in ("2", "4", "8"):
        for system in ("XLM-D (M=0)", "XLM-D (M=6)"):
            for direction in ("en-de", "de-en"):
                assert point(1, system, t, direction) == point(9, system, t, f"{direction}_dynamic")
            assert point(1, system, t, "en-de") == point(6, system, t, "pretrained")
        assert point(1, "XLM-D (M=6)", t, "en-de") == point(10, "XLM-D (M=6)", t, "bleu")
        assert point(1, "XLM-D (M=6)", t, "speedup") == point(10, "XLM-D (M=6)", t, "speedup")
        assert point(1, "XLM-D (M=0)", t, "en-de") == point(4, "XLM-D (M=0)", t, "distilled") == row(5, t, "s=2.0")
        assert point(1, "XLM-D (M=0)", t, "speedup") == point(4, "XLM-D (M=0)", t, "speedup")
    for system in ("XLM-D (M=0)", "XLM-D (M=6)", "XLM-D with LT only"):
        assert point(2, system, "1", "en-de") == point(6, system, "1", "pretrained")
        assert point(2, system, "1", "speedup") == point(8, system, "1", "speedup")
    for direction in ("speedup", "en-de", "de-en", "en-ro", "ro-en"):
        assert point(1, "Transformer", "N", direction) == point(2, "Transformer", "N", direction)
    assert point(1, "CMLM", "10", "en-de") == point(4, "CMLM", "10", "distilled")


def test_reporting_imports_no_torch():
    code = "import sys, xlmd.reporting.make, xlmd.reporting.figure2; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0


def test_a_row_that_the_paper_has_not_is_our_work_only_if_it_is_of_xlmd(tmp_path):
    entry = {"system": "glat", "tables": ["table2"], "directions": ["en-de"]}
    config = example_config(tmp_path, compared=[entry | {"decodings": ["length_beam=1", "length_beam=5-rescore=True"]}])
    make_table(config, "table2")
    rows = pd.read_csv(arguments(config, "table2")["out_csv"], dtype=str).set_index("system")
    assert rows.loc["GLAT (rescored)", "group"] == "Further, not in the paper"
    assert rows.loc["XLM-D with LT only (M=6)", "group"] == "Our work"
