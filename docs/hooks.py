"""What the site needs beside the pages: the README as its first one, and files of the repository that pages link to."""

import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config) -> Files:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=LINK.sub(_from_root, readme)))
    pages = [readme, *(page.content_string for page in files.documentation_pages())]
    for outside in sorted({path for page in pages for path in map(_outside, LINK.findall(page)) if path}):
        content = (ROOT / outside).read_text(encoding="utf-8")
        files.append(File.generated(config, f"files/{outside}.txt", content=content))
    return files


def on_page_markdown(markdown: str, page, **_) -> str:
    """A link out of docs/ leads to the copy."""
    up = "../" * page.file.src_uri.count("/")
    return LINK.sub(lambda link: f"{up}files/{_outside(link[1])}.txt" if _outside(link[1]) else link[1], markdown)


def on_page_content(html: str, **_) -> str:
    """Formulas as MathML, which browsers show without a script."""
    return FORMULA.sub(lambda formula: convert(formula[2], "inline" if formula[1] == "span" else "block"), html)


def _from_root(link: re.Match) -> str:
    """A link of the README as one of a page in docs/."""
    return link[1].removeprefix("docs/") if link[1].startswith("docs/") else f"../{link[1]}"


def _outside(link: str) -> str | None:
    """The path below the root of a link out of docs/."""
    return link.removeprefix("../") if link.startswith("../") and (ROOT / link.removeprefix("../")).is_file() else None
