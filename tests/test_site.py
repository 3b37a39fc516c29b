"""The pages become a site, without a network and without a link that leads nowhere."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if not shutil.which("mkdocs"):
        pytest.skip("mkdocs is not installed; `make docs` installs it")
    out = tmp_path_factory.mktemp("site")
    # A proxy that refuses stands for a network that is not there.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "HTTPS_PROXY": "http://localhost:1", "NO_COLOR": "1"}
    command = ["mkdocs", "build", "--strict", "--site-dir", out]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "not included in the" not in built.stderr
    return out


def test_every_page_of_docs_and_the_readme_is_in_the_site(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {Path("index.html"), *pages} <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_the_api_has_the_signature_and_the_docstring_of_a_public_function(site):
    page = re.sub(r"<[^>]+>", "", (site / "api/ctc.html").read_text(encoding="utf-8"))
    for told in ("linear_ctc_loss", "zero_infinity", "LinearCTCLoss", "Raises ValueError"):
        assert told in page
