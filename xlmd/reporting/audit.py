"""The audit: what of the paper was reproduced, claim by claim, and the paper's prose against its own tables."""

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xlmd.experiment.configuration import read_config
from xlmd.files import atomic_write
from xlmd.progress import progress
from xlmd.reporting import claims
from xlmd.reporting.evidence import AGAINST, FOR, OPEN, Evidence
from xlmd.reporting.paper_check import check

_STYLE = """body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #bbb;padding:.3em .6em;text-align:left;
vertical-align:top}th{background:#eee}summary{cursor:pointer}"""


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
    scale = settings["scale"]["name"]
    summary = pd.DataFrame(
        [
            {
                "section": verdict.claim.section,
                "claim": verdict.claim.text,
                "verdict": verdict.name,
                "for": sum(c.outcome == FOR for c in verdict.comparisons),
                "against": sum(c.outcome == AGAINST for c in verdict.comparisons),
                "open": sum(c.outcome == OPEN for c in verdict.comparisons),
                "scale": scale,
            }
            for verdict in verdicts
        ]
    )
    prose = pd.DataFrame(check(paper))
    with atomic_write(out_csv) as handle:
        summary.to_csv(handle, index=False, lineterminator="\n")
    with atomic_write(out_md) as handle:
        handle.write(_markdown(settings["scale"], summary, verdicts, prose))
    with atomic_write(out_html) as handle:
        handle.write(_html(settings["scale"], summary, verdicts, prose))


def _introduction(scale: dict[str, str], summary: pd.DataFrame, prose: pd.DataFrame) -> list[str]:
    counts = Counter(summary["verdict"])
    verdicts = ", ".join(
        f"{counts[name]} {name}" for name in ("reproduced", "contradicted", "inconclusive", "not tested")
    )
    disagree = int((prose["agrees"] == "no").sum())
    return [
        f"Tested at the scale {scale['name']}: {scale['description']}. A verdict holds for this scale; at another it "
        "may differ.",
        f"Of {len(summary)} claims: {verdicts}. Of {len(prose)} numbers and statements of the paper's prose, "
        f"{disagree} disagree with its own tables.",
    ]


def _rule() -> list[str]:
    return [" ".join(part.split()) for part in claims.RULE.split("\n\n")]


def _markdown(scale, summary, verdicts, prose) -> str:
    parts = ["# Audit", *_introduction(scale, summary, prose), "## Claims", *_rule()]
    parts.append(summary.drop(columns="scale").to_markdown(index=False, disable_numparse=True))
    parts.append("## Evidence")
    for verdict in verdicts:
        parts.append(f"### {verdict.claim.text}: {verdict.name}")
        evidence = [f"- {comparison.outcome}: {comparison.text}" for comparison in verdict.comparisons]
        parts.append("\n".join(evidence) or "- no comparison was possible")
    parts += ["## The paper against itself", prose.to_markdown(index=False, disable_numparse=True)]
    return "\n\n".join(parts) + "\n"


def _html(scale, summary, verdicts, prose) -> str:
    paragraphs = "".join(f"<p>{text.replace('**', '')}</p>" for text in _introduction(scale, summary, prose))
    rules = "".join(f"<p>{html.escape(text.replace('*', ''))}</p>" for text in _rule())
    details = []
    for verdict in verdicts:
        rows = pd.DataFrame([(c.outcome, c.text) for c in verdict.comparisons], columns=["", "evidence"])
        heading = f"<summary>{html.escape(verdict.claim.text)}: <b>{verdict.name}</b></summary>"
        details.append(f"<details>{heading}{rows.to_html(index=False)}</details>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Audit</title><style>{_STYLE}</style></head>'
        f"<body><h1>Audit</h1>{paragraphs}<h2>Claims</h2>{rules}{summary.to_html(index=False)}"
        f"<h2>Evidence</h2>{''.join(details)}<h2>The paper against itself</h2>{prose.to_html(index=False)}"
        "</body></html>\n"
    )
