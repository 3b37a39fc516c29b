import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from results_example import PAPER, add_result, transformer, write_index, xlmd

from xlmd.errors import UserError
from xlmd.reporting.table1 import table1


def paper(number):
    return pd.read_csv(PAPER.with_name(f"table{number}.csv"), dtype=str, keep_default_na=False)


def make(folder, results, **facts):
    """Write Table 1 and read it back as text, with (system, iterations) for its index."""
    arguments = write_index(folder, results, **facts)
    table1(**arguments)
    table = pd.read_csv(arguments["out_csv"], dtype=str, keep_default_na=False)
    return table.set_index(["system", "iterations"], drop=False)


@pytest.fixture
def results(tmp_path):
    """A grid of two M and two T in two directions, and the Transformer in both engines."""
    results = [
        xlmd(tmp_path, m, t, direction, bleu=20 + m + t, milliseconds=10.0 + t if direction == "en-de" else None)
        for direction in ("en-de", "de-en")
        for m in (0, 3)
        for t in (2, 4)
    ]
    results += [transformer(tmp_path), transformer(tmp_path, "de-en", milliseconds=None)]
    return results + [transformer(tmp_path, engine="ctranslate2", bleu=None, milliseconds=6.0)]


def test_rows_and_paper_cells_are_the_papers_in_its_order(tmp_path, results):
    table, quoted = make(tmp_path, results), paper(1)
    assert list(table["system"]) == list(quoted["system"])
    assert list(table["iterations"]) == list(quoted["iterations"])
    assert list(table["group"]) == list(quoted["group"])
    assert list(table["speedup_paper"]) == list(quoted["speedup"])
    for direction in ("en-de", "de-en", "en-ro", "ro-en"):
        assert list(table[f"{direction}_paper"]) == list(quoted[direction])
    assert table.loc[("CMLM-LFR", "10"), "de-en_paper"] == "" and table.loc[("LevT", "Adv."), "en-de_paper"] == "27.27"


def test_columns_are_those_promised(tmp_path, results):
    pairs = [f"{pair}_{kind}" for pair in ("en-de", "de-en", "en-ro", "ro-en") for kind in ("bleu", "paper")]
    expected = ["group", "system", "measured_as", "iterations", "speedup", "speedup_paper", *pairs]
    assert list(make(tmp_path, results).columns) == expected


def test_m_is_matched_by_its_fraction_of_the_depth(tmp_path, results):
    table = make(tmp_path, results)
    assert table.loc[("XLM-D (M=6)", "4"), "measured_as"] == "M=3 of 6 layers"
    assert table.loc[("XLM-D (M=0)", "4"), "measured_as"] == "M=0 of 6 layers"
    assert table.loc[("XLM-D (M=6)", "4"), "en-de_bleu"] == "27.00"
    assert table.loc[("XLM-D (M=0)", "4"), "de-en_bleu"] == "24.00"
    assert table.loc[("Transformer", "N"), "measured_as"] == "Marian, 2+2 layers, beam 5"


def test_what_was_not_measured_is_empty(tmp_path, results):
    table = make(tmp_path, results)
    assert (table.loc["CMLM", ["measured_as", "speedup", "en-de_bleu"]] == "").all(axis=None)
    assert (table.loc[("XLM-D (M=6)", "8"), ["measured_as", "speedup", "en-de_bleu"]] == "").all()
    assert (table["en-ro_bleu"] == "").all() and (table["ro-en_bleu"] == "").all()


def test_speedup_is_over_the_transformer_in_transformers_on_the_latency_direction(tmp_path, results):
    table = make(tmp_path, results)
    assert table.loc[("Transformer", "N"), "speedup"] == "1.0"
    assert table.loc[("XLM-D (M=6)", "2"), "speedup"] == "3.3"  # 40 ms / 12 ms
    results.append(xlmd(tmp_path, 3, 8, "de-en", milliseconds=1.0))
    assert make(tmp_path, results).loc[("XLM-D (M=6)", "8"), "speedup"] == ""


def test_points_beyond_the_papers_are_appended_by_m_and_iterations(tmp_path, results):
    results += [xlmd(tmp_path, 5, 4), xlmd(tmp_path, 2, 10), xlmd(tmp_path, 2, 4), xlmd(tmp_path, 0, 1)]
    table = make(tmp_path, results)
    added = [("XLM-D (M=0)", "1"), ("XLM-D (M=4)", "4"), ("XLM-D (M=4)", "10"), ("XLM-D (M=10)", "4")]
    assert list(table.index[13:]) == added
    assert table.loc[("XLM-D (M=10)", "4"), "measured_as"] == "M=5 of 6 layers"
    assert (table.iloc[13:][["speedup_paper", "en-de_paper", "ro-en_paper"]] == "").all(axis=None)
    assert (table.iloc[13:]["en-de_bleu"] == "25.00").all()


def test_a_direction_beyond_the_papers_gets_columns_at_the_end(tmp_path, results):
    table = make(tmp_path, [*results, xlmd(tmp_path, 0, 4, "en-fr", bleu=12.3456)])
    assert list(table.columns[-2:]) == ["en-fr_bleu", "en-fr_paper"]
    assert table.loc[("XLM-D (M=0)", "4"), "en-fr_bleu"] == "12.35"
    assert (table["en-fr_paper"] == "").all()


def test_several_seeds_are_averaged(tmp_path, results):
    table = make(tmp_path, [*results, xlmd(tmp_path, 3, 4, bleu=30.0, seed=2)])
    assert table.loc[("XLM-D (M=6)", "4"), "en-de_bleu"] == "28.50"


def test_the_same_results_give_the_same_bytes(tmp_path, results):
    make(tmp_path, results)
    first = (tmp_path / "table1.csv").read_bytes(), (tmp_path / "table1.md").read_bytes()
    make(tmp_path, results)
    assert ((tmp_path / "table1.csv").read_bytes(), (tmp_path / "table1.md").read_bytes()) == first
    assert b"\r" not in first[0]


def test_the_markdown_says_what_was_measured_and_how(tmp_path, results):
    make(tmp_path, results)
    text = (tmp_path / "table1.md").read_text(encoding="utf-8")
    for fact in (
        "**embedded**. Tiny models",
        "phrasebook; sentence pairs: train 12,000, dev 500, test 500",
        "M=6 is M=3 of 6",
        "`nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:2.6.0`",
        "en-de 3.21, de-en 3.21",
        "500 sentences in 5 runs after 10 warm-up sentences",
        "Example CPU, 2 threads",
        "Seeds: 1.",
    ):
        assert fact in text


def test_the_markdown_gives_latency_against_both_engines_and_every_score(tmp_path, results):
    make(tmp_path, results)
    lines = (tmp_path / "table1.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    point = ["XLM-D (M=6)", "M=3 of 6 layers", "2", "12.0", "11.0", "21.0", "0.25", "14.0", "3.33", "0.50"]
    assert point in cells
    assert [row[:3] for row in cells if "CTranslate2" in row[0]][0] == [
        "Transformer (CTranslate2)",
        "Marian, 2+2 layers, beam 5",
        "N",
    ]
    assert ["XLM-D (M=6)", "4", "de-en", "27.00", "28.00", "26.00", "47.00"] in cells


def test_a_table_without_any_result_still_quotes_the_paper(tmp_path):
    table = make(tmp_path, [])
    assert len(table) == 13 and (table["en-de_bleu"] == "").all() and table["en-de_paper"].iloc[0] == "27.74"


def test_two_results_for_one_cell_are_an_error(tmp_path, results):
    rival = add_result(tmp_path, "xlmd", "en-de", {"M": 3, "layers": 6, "s": 3}, {"iterations": 4}, bleu=1.0)
    with pytest.raises(UserError, match=r"both claim XLM-D \(M=6\), iterations 4, en-de"):
        make(tmp_path, [*results, rival])
    assert not (tmp_path / "table1.csv").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": "oracle"}, "'oracle'"),
        ({"settings": {"M": 3}}, "no 'layers'"),
        ({"score_json": "nowhere.json"}, "nowhere.json"),
        ({"colour": "red"}, "result 1: .*'colour'"),
    ],
)
def test_a_bad_result_is_named(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        make(tmp_path, [xlmd(tmp_path, 3, 4) | change])


def test_a_misspelt_fact_of_the_index_is_named(tmp_path):
    with pytest.raises(UserError, match=r"index\.json: .*'corpra'"):
        make(tmp_path, [], corpra=[])


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
    code = "import sys, xlmd.reporting.table1; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
