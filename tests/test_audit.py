"""The audit: verdicts follow the results, whatever they are."""

import pandas as pd
import pytest
from results_example import PAPER, arguments, example_config, milliseconds, write_results

from xlmd.experiment.layout import Layout
from xlmd.experiment.tables import TABLES
from xlmd.files import write_json, write_lines
from xlmd.reporting import claims
from xlmd.reporting.audit import audit
from xlmd.reporting.evidence import FOR, OPEN, Comparison, Evidence
from xlmd.reporting.paper_check import check

SENTENCE = "the doctor treats a patient in this hospital and then he writes one long letter to her mother"
WORDS = SENTENCE.split(" ")
LINES = [" ".join(WORDS[n % 5 :] + WORDS[: n % 5 if n % 3 else 0]) for n in range(12)] + 4 * [" ".join(WORDS[:9])]


def with_errors(line, words):
    """A line with its first words replaced: the more, the worse its BLEU."""
    tokens = line.split()
    words = round(words)
    return " ".join(["x"] * words + tokens[words:])


def evidence(tmp_path, *tables, quality, score=None, latency=milliseconds, by_line=lambda point, line, words: words):
    """Results whose translations have quality(point) wrong words; by_line: another number for some lines."""
    config = example_config(tmp_path)
    kinds = {"score": score} if score else {"score": lambda point: 50.0 - quality(point)}
    write_results(
        config, *tables, latency=latency,
        translation=lambda point, n: with_errors(LINES[n], by_line(point, LINES[n], quality(point))), **kinds,
    )  # fmt: skip
    layout = Layout(config)
    for direction in layout.directions:
        for side in (0, 1):
            write_lines(layout.text(direction, "test", side), LINES)
        write_json(layout.counts(direction, "train"), {"kept": len(LINES)})
    return Evidence(config, set(tables))


def verdict(found, text):
    (claim,) = [claim for claim in claims.CLAIMS if claim.text.startswith(text)]
    return claims.Verdict(claim, [comparison for comparison in claim.test(found) if comparison is not None]).name


def iterations(point):
    return int(dict(point.decoding).get("iterations", 0))


def depth(point):
    return dict(point.settings).get("M", 0)


QUALITIES = [
    ("More iterations are better", "figure2", lambda p: 10 - iterations(p), iterations, lambda p: 3),
    ("XLM-D is better than the Transformer", "table1", lambda p: 8 * (p.system != "xlmd"),
     lambda p: 8 * (p.system == "xlmd"), lambda p: 4),
    ("Distilled data are better", "table4", lambda p: 8 * (p.data == "original"),
     lambda p: 8 * (p.data == "distilled"), lambda p: 4),
    ("Pre-trained parameters are better", "table6", lambda p: 8 * ("reset" in dict(p.settings)),
     lambda p: 8 * ("reset" not in dict(p.settings)), lambda p: 4),
    ("A larger s helps a single", "table5", lambda p: int(10 - 3 * dict(p.settings)["s"]),
     lambda p: int(3 * dict(p.settings)["s"]), lambda p: 4),
    ("Dynamic blocks are better", "table9", lambda p: 8 * ("strategy" in dict(p.decoding)),
     lambda p: 8 * ("strategy" not in dict(p.decoding)), lambda p: 4),
    ("In other language pairs", "table3", lambda p: 8 * (p.system == "cmlm"),
     lambda p: 8 * (p.system == "xlmd"), lambda p: 8 * (p.system == "cmlm" and p.direction == "en-fr")),
    ("On original data too", "table4", lambda p: 8 * (p.system == "cmlm"),
     lambda p: 8 * (p.system == "xlmd"), lambda p: 4),
]  # fmt: skip


@pytest.mark.parametrize(("text", "table", "good", "bad", "same"), QUALITIES)
def test_a_verdict_follows_the_translations(tmp_path, text, table, good, bad, same):
    assert verdict(evidence(tmp_path / "good", table, quality=good), text) == "reproduced"
    assert verdict(evidence(tmp_path / "bad", table, quality=bad), text) == "contradicted"
    if same:
        assert verdict(evidence(tmp_path / "same", table, quality=same), text) == "inconclusive"


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        (
            "Speed falls with the number of iterations",
            lambda p: 40.0 + 5 * iterations(p),
            lambda p: 99.0 - iterations(p),
        ),
        ("A larger M is faster", lambda p: 40.0 - 3 * depth(p), lambda p: 40.0 + 3 * depth(p)),
    ],
)
def test_a_verdict_follows_the_times(tmp_path, text, good, bad):
    assert verdict(evidence(tmp_path / "good", "figure2", quality=depth, latency=good), text) == "reproduced"
    assert verdict(evidence(tmp_path / "bad", "figure2", quality=depth, latency=bad), text) == "contradicted"


def test_times_whose_runs_overlap_decide_nothing(tmp_path):
    found = evidence(tmp_path, "figure2", quality=depth, latency=lambda p: 40.0 + 0.1 * iterations(p))
    assert verdict(found, "Speed falls with") == "inconclusive"


def test_xlmd_against_cmlm_in_quality_and_time(tmp_path):
    def fast(point):
        return 5.0 if point.system == "xlmd" else 40.0

    def slow(point):
        return 45.0 - fast(point)

    for name, latency, expected in (("fast", fast, "reproduced"), ("slow", slow, "contradicted")):
        found = evidence(tmp_path / name, "table4", latency=latency, quality=lambda p: 8 * (p.system == "cmlm"))
        assert verdict(found, "XLM-D is better than CMLM") == "reproduced"
        assert verdict(found, "XLM-D is faster than CMLM") == expected


@pytest.mark.parametrize(
    ("text", "table", "good", "bad", "same"),
    [
        ("The gap of distillation shrinks", "table4",
         lambda p: 2 + 7 * (p.data == "original" and iterations(p) < 8),
         lambda p: 2 + 7 * (p.data == "original" and iterations(p) > 1), lambda p: 2 + 7 * (p.data == "original")),
        ("The gap of distillation shrinks", "table4", None, None,  # distilled data fall back, no catching up
         lambda p: 2 + 7 * (p.data == "original" or iterations(p) == 8)),
        ("With more iterations s hardly", "table5", lambda p: 4, lambda p: 2 + 7 * (dict(p.settings)["s"] != 2), None),
        ("Half the depth as M gives much the same", "table1", lambda p: 4, lambda p: 4 + 3 * depth(p), None),
        ("Half the depth as M gives much the same", "table1", None, lambda p: 10 - 3 * depth(p), None),
        ("Sentences of all lengths gain", "table7", lambda p: 8 - 2 * iterations(p), lambda p: 2 * iterations(p),
         lambda p: 4),
    ],
)  # fmt: skip
def test_a_verdict_follows_the_sizes_of_differences(tmp_path, monkeypatch, text, table, good, bad, same):
    monkeypatch.setattr(claims, "ENOUGH_SENTENCES", 4)
    for name, quality in (("reproduced", good), ("contradicted", bad), ("inconclusive", same)):
        if quality:
            assert verdict(evidence(tmp_path / name, table, quality=quality), text) == name


def test_long_sentences_must_gain_and_gain_most(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "ENOUGH_SENTENCES", 4)
    monkeypatch.setattr(claims, "LONG", 10)

    def found(name, gains):
        def words(point, line, _):
            return 8 - gains(len(line.split()) >= 10) * iterations(point)

        found = evidence(tmp_path / name, "table7", quality=lambda p: 0, by_line=words)
        return verdict(found, "Long sentences gain most")

    assert found("long", lambda long: 2 * long) == "reproduced"
    assert found("short", lambda long: 2 * (not long) - 0.25 * long) == "contradicted"
    assert found("less loss", lambda long: -0.25 * (not long)) == "inconclusive"


def test_few_sentences_say_nothing_of_long_ones(tmp_path):
    assert verdict(evidence(tmp_path, "table7", quality=iterations), "Long sentences gain most") == "not tested"


def test_a_claim_about_every_case_needs_every_comparison():
    claim = next(claim for claim in claims.CLAIMS if claim.every)
    pro, open_ = Comparison("", FOR), Comparison("", OPEN)
    assert claims.Verdict(claim, [pro, pro]).name == "reproduced"
    assert claims.Verdict(claim, [pro, pro, open_]).name == "inconclusive"


def test_what_has_no_results_is_not_tested(tmp_path):
    found = evidence(tmp_path, "table5", quality=depth)
    names = [claims.Verdict(claim, [c for c in claim.test(found) if c]).name for claim in claims.CLAIMS]
    tested = [claim.text for claim, name in zip(claims.CLAIMS, names, strict=True) if name != "not tested"]
    assert tested == [claim.text for claim in claims.CLAIMS if claim.tables == ("table5",)]


def test_small_corpora_are_compared_only_if_sizes_differ(tmp_path):
    def quality(point):
        return 8 * (point.system == "transformer" and point.direction != "en-fr")

    found = evidence(tmp_path, "table3", quality=quality)
    assert verdict(found, "Gains over the Transformer are larger") == "not tested"
    layout = found.layout
    write_json(layout.counts("en-fr", "train"), {"kept": 20 * len(LINES)})
    assert verdict(found, "Gains over the Transformer are larger") == "reproduced"


def test_the_audited_tables_are_those_that_claims_need():
    audited = {spec.name for spec in TABLES.values() if spec.audited}
    assert audited == {table for claim in claims.CLAIMS for table in claim.tables}


def test_the_audit_is_written_with_every_claim_and_its_evidence(tmp_path, monkeypatch):
    found = evidence(tmp_path, "table5", "table9", quality=depth)
    config = arguments(found.config, "table5")["config"]
    outs = {f"out_{kind}": tmp_path / f"audit.{kind}" for kind in ("md", "csv", "html")}
    audit(config=config, paper=PAPER, tables=["table5", "table9"], **outs)
    text = outs["out_md"].read_text(encoding="utf-8")
    assert all(f"### {claim.text}: " in text for claim in claims.CLAIMS)
    assert "same translations: True" in text and "Tested at the scale embedded" in text
    table = pd.read_csv(outs["out_csv"])
    assert list(table["claim"]) == [claim.text for claim in claims.CLAIMS]
    page = outs["out_html"].read_text(encoding="utf-8")
    assert page.count("<details>") == len(claims.CLAIMS) and "http" not in page


def test_the_papers_prose_is_recomputed_from_its_tables(tmp_path):
    rows = {row["statement"]: row for row in check(PAPER)}
    assert rows["iterative XLM-D over CMLM, En-De"]["computed"] == "2.77"
    disagree = [row["statement"] for row in rows.values() if row["agrees"] == "no"]
    assert len(disagree) == 3 and any("every length bucket" in text for text in disagree)
    for path in PAPER.glob("table*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "table1.csv").write_text(
        (PAPER / "table1.csv").read_text(encoding="utf-8").replace("29.80", "29.90"), encoding="utf-8"
    )
    changed = {row["statement"]: row for row in check(tmp_path)}
    assert changed["iterative XLM-D over CMLM, En-De"]["agrees"] == "no"


def test_every_quoted_system_has_its_protocol():
    protocols = pd.read_csv(PAPER / "protocols.csv", keep_default_na=False)
    quoted = set()
    for number in (1, 2, 10):
        quoted |= set(pd.read_csv(PAPER / f"table{number}.csv")["system"])
    quoted = {system for system in quoted if not system.startswith("XLM-D")}
    assert set(protocols["system"]) == quoted
    assert set(protocols["certainty"]) == {"known", "unsure"} and protocols["source"].all()
