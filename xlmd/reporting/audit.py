"""The audit: what of the paper was reproduced, claim by claim, and its prose against its tables and our settings."""

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xlmd.experiment.configuration import is_imported, read_config, read_definitions
from xlmd.experiment.layout import Layout
from xlmd.files import atomic_write
from xlmd.progress import progress
from xlmd.reporting import claims
from xlmd.reporting.claims import Verdict
from xlmd.reporting.evidence import AGAINST, FOR, OPEN, Evidence
from xlmd.reporting.paper_check import check
from xlmd.reporting.paper_setup import settings as setup

_STYLE = """body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #bbb;padding:.3em .6em;text-align:left;
vertical-align:top}th{background:#eee}summary{cursor:pointer}"""

_PROSE = """\
Every number of the paper's prose about its results, and every comparison that it makes in words, recomputed from its
own tables. *printed* is empty where the prose gives no number for what it says, or passes over what its tables hold."""
_SETUP = "Every number of its prose about its setup, and the same of this scale: of the direction of the analyses."


def audit(
    *,
    config: str | Path,
    paper: str | Path,
    tables: Sequence[str],
    out_md: str | Path,
    out_csv: str | Path,
    out_html: str | Path,
) -> None:
    """Judge every claim on the results of `tables` and write the audit as Markdown, CSV and one HTML page.

    config: the resolved configuration. paper: folder of the paper's tables (CSV).
    """
    settings = read_config(config)
    evidence = Evidence(settings, set(tables))
    verdicts = list(progress(claims.judge(evidence), "claims", len(claims.CLAIMS)))
    scale = settings["scale"]
    summary = pd.DataFrame(
        [
            {
                "section": verdict.claim.section,
                "claim": verdict.claim.text,
                "verdict": verdict.name,
                "for": sum(c.outcome == FOR for c in verdict.comparisons),
                "against": sum(c.outcome == AGAINST for c in verdict.comparisons),
                "open": sum(c.outcome == OPEN for c in verdict.comparisons),
                "scale": scale["name"],
            }
            for verdict in verdicts
        ]
    )
    prose, numbers = pd.DataFrame(check(paper)), pd.DataFrame(setup(evidence.layout))
    introduction = [*_introduction(scale, summary, prose), *bases(evidence.layout)]
    with atomic_write(out_csv) as handle:
        summary.to_csv(handle, index=False, lineterminator="\n")
    with atomic_write(out_md) as handle:
        handle.write(_markdown(introduction, summary, verdicts, prose, numbers))
    with atomic_write(out_html) as handle:
        handle.write(_html(introduction, summary, verdicts, prose, numbers))


def _introduction(scale: dict[str, Any], summary: pd.DataFrame, prose: pd.DataFrame) -> list[str]:
    counts = Counter(summary["verdict"])
    verdicts = ", ".join(
        f"{counts[name]} {name}" for name in ("reproduced", "contradicted", "inconclusive", "not tested")
    )
    agrees = Counter(prose["agrees"])
    return [
        f"Tested at the scale {scale['name']}: {scale['description']}. A verdict holds for this scale; at another it "
        "may differ.",
        f"Of {len(summary)} claims: {verdicts}. Of {agrees['yes'] + agrees['no']} numbers and comparisons of the "
        f"paper's prose, {agrees['no']} disagree with its own tables.",
    ]


def bases(layout: Layout) -> list[str]:
    """What XLM-D starts from, base by base, and so has seen that a rival from random weights has not."""
    return [_base(layout, base) for base in dict.fromkeys(map(layout.base, layout.directions))]


def _base(layout: Layout, base: str) -> str:
    entry = layout.config["bases"][base]
    if is_imported(entry, "mlm"):
        learnt = f"{entry['mlm']['source']}, pre-trained elsewhere: text"
    else:
        text, shape = entry["text"], entry["mlm"]["shape"]
        share = shape.get("translation_fraction", _translation_share())
        lines = layout.config["corpora"][text["corpus"]].get("sizes", {}).get(text["split"])
        own = "the training pairs themselves," if text["split"] == "train" else "further translations"
        learnt = (
            f"pre-trained here on the split {text['split']} of {text['corpus']} ({', '.join(text['languages'])}"
            f"{f', {lines:,} lines of each' if lines else ''}), two translations side by side in {share:.0%} of its "
            f"batches: {own}"
        )
    return (
        f"XLM-D, like any rival that takes a pre-trained model, starts from the base {base}, {learnt} that systems "
        "from random weights were not given. A comparison of two says what they started from where that differs. What "
        "such a rival would get if it were given the same text has not been measured."
    )


def _translation_share() -> float:
    return read_definitions()["mlm"]["properties"]["translation_fraction"]["default"]


def _rule() -> list[str]:
    return [" ".join(part.split()) for part in claims.RULE.split("\n\n")]


def _markdown(
    introduction: list[str],
    summary: pd.DataFrame,
    verdicts: Sequence[Verdict],
    prose: pd.DataFrame,
    numbers: pd.DataFrame,
) -> str:
    parts = ["# Audit", *introduction, "## Claims", *_rule()]
    parts.append(summary.drop(columns="scale").to_markdown(index=False, disable_numparse=True))
    parts.append("## Evidence")
    for verdict in verdicts:
        parts.append(f"### {verdict.claim.text}: {verdict.name}")
        evidence = [f"- {comparison.outcome}: {comparison.text}" for comparison in verdict.comparisons]
        parts.append("\n".join(evidence) or "- no comparison was possible")
    parts += ["## The paper against itself", _PROSE, prose.to_markdown(index=False, disable_numparse=True)]
    parts += ["## The paper's setup and this one's", _SETUP, numbers.to_markdown(index=False, disable_numparse=True)]
    return "\n\n".join(parts) + "\n"


def _html(
    introduction: list[str],
    summary: pd.DataFrame,
    verdicts: Sequence[Verdict],
    prose: pd.DataFrame,
    numbers: pd.DataFrame,
) -> str:
    details = []
    for verdict in verdicts:
        rows = pd.DataFrame([(c.outcome, c.text) for c in verdict.comparisons], columns=["", "evidence"])
        heading = f"<summary>{html.escape(verdict.claim.text)}: <b>{verdict.name}</b></summary>"
        details.append(f"<details>{heading}{rows.to_html(index=False)}</details>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Audit</title><style>{_STYLE}</style></head>'
        f"<body><h1>Audit</h1>{_paragraphs(introduction)}<h2>Claims</h2>{_paragraphs(_rule())}"
        f"{summary.to_html(index=False)}<h2>Evidence</h2>{''.join(details)}"
        f"<h2>The paper against itself</h2>{_paragraphs([_PROSE])}{prose.to_html(index=False)}"
        f"<h2>The paper's setup and this one's</h2>{_paragraphs([_SETUP])}{numbers.to_html(index=False)}"
        "</body></html>\n"
    )


def _paragraphs(texts: Sequence[str]) -> str:
    return "".join(f"<p>{html.escape(text.replace('*', '').replace('`', ''))}</p>" for text in texts)
