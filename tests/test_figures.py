"""The figures: what is drawn is what was measured."""

from pathlib import Path

import pandas as pd
import pytest
from results_example import PAPER, arguments, bleu, example_config, write_results
from small_models import LAYERS, MASK, save_mlm

from xlmd.errors import UserError
from xlmd.experiment.points import Point
from xlmd.method.model import decorate
from xlmd.reporting.figure1 import figure1, parts
from xlmd.reporting.figure2 import figure2


def draw(config, folder):
    write_results(config, "figure2")
    figure2(
        config=arguments(config, "table1")["config"],
        papers=[PAPER / "table1.csv", PAPER / "table2.csv"],
        latency=Path(config["results"]) / "latency/figure2.json",
        out=[folder / f"figure2.{kind}" for kind in ("svg", "pdf", "png")],
        out_csv=folder / "figure2.csv",
        out_provenance=folder / "figure2.json",
    )
    table = pd.read_csv(folder / "figure2.csv", dtype=str, keep_default_na=False)
    return table.set_index(["system", "iterations"])


def test_figure_2_has_a_point_for_every_m_and_number_of_iterations(tmp_path):
    table = draw(example_config(tmp_path), tmp_path)
    assert len(table) == 4 * 4
    point = Point("en-de", "xlmd", "distilled", (("M", 3), ("s", 2.0)), (("iterations", 8),))
    assert table.loc[("XLM-D (M=9)", "8"), "bleu"] == f"{bleu(point):.2f}"
    assert table.loc[("XLM-D (M=9)", "8"), "speedup"] == f"{40 / 37:.2f}"
    # √((0.25/40)² + (0.25/37)²) of the speed-up: the runs of both times vary.
    assert table.loc[("XLM-D (M=9)", "8"), "speedup_sd"] == "0.01"


def test_figure_2_draws_more_lines_than_it_has_styles_and_names_them_all(tmp_path):
    config = example_config(tmp_path, figure2_M=[0, 1, 2, 3, 4])
    draw(config, tmp_path)
    # matplotlib writes text as outlines, with the characters in a comment before them
    text = (tmp_path / "figure2.svg").read_text(encoding="utf-8")
    for m in (0, 3, 6, 9, 12):
        assert f"<!-- XLM-D (M={m}), measured (M=" in text
    assert "<!-- XLM-D (M=6), paper -->" in text


def test_the_same_results_give_the_same_picture(tmp_path):
    config = example_config(tmp_path)
    draw(config, tmp_path)
    first = [(tmp_path / f"figure2.{kind}").read_bytes() for kind in ("svg", "pdf", "png")]
    draw(config, tmp_path)
    assert [(tmp_path / f"figure2.{kind}").read_bytes() for kind in ("svg", "pdf", "png")] == first


@pytest.mark.parametrize("m", range(LAYERS + 1))
@pytest.mark.parametrize("add_and_scale", [True, False])
def test_figure_1_shows_every_parameter_once(tmp_path, m, add_and_scale):
    save_mlm(tmp_path / "mlm")
    model = decorate(tmp_path / "mlm", mask_token_id=MASK, insertion_layer=m, add_and_scale=add_and_scale)
    shown = parts(model)
    assert sum(number for _, _, number, _ in shown) == sum(parameter.numel() for parameter in model.parameters())
    names = [name for name, *_ in shown]
    assert ("add and scale" in names) == add_and_scale and names.index("latent transform") == 1 + (m > 0)


def test_figure_1_is_drawn_from_a_saved_model(tmp_path):
    save_mlm(tmp_path / "mlm")
    decorate(tmp_path / "mlm", mask_token_id=MASK, insertion_layer=1).save_pretrained(tmp_path / "model")
    figure1(tmp_path / "model", [tmp_path / "figure1.svg", tmp_path / "figure1.png"])
    text = (tmp_path / "figure1.svg").read_text(encoding="utf-8")
    assert "<!-- latent transform -->" in text and "<!-- once an iteration -->" in text
    with pytest.raises(UserError, match="nowhere"):
        figure1(tmp_path / "nowhere", [tmp_path / "other.svg"])
