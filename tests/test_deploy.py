"""The workflow as a module of another project, in the form in which snakedeploy writes it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

# As snakedeploy 0.17 has it, with a git repository of this machine in the place of a forge's.
SNAKEFILE = """
configfile: "config/config.yaml"

module xlmd:
    snakefile:
        "git+file://{repository}/workflow/Snakefile@main"
    config:
        config

use rule * from xlmd
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository of what git has of this checkout, in its present state, and nothing that lies beside it."""
    folder = tmp_path_factory.mktemp("forge") / "xlmd"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in ("workflow", "config", "profiles", "config.yaml"):
        for file in listed.split("\0"):
            if file.split("/")[0] == name and (ROOT / file).exists():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, folder / file, follow_symlinks=False)
    for command in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "all"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *command], cwd=folder, capture_output=True, check=True)
    return folder


@pytest.fixture
def deployed(repository, tmp_path):
    """A folder with nothing but what snakedeploy puts there: its Snakefile, and copies of config/ and profiles/."""
    for name in ("config", "profiles"):
        shutil.copytree(repository / name, tmp_path / name)
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").write_text(SNAKEFILE.format(repository=repository))
    return tmp_path


def snakemake(folder, *arguments):
    result = subprocess.run(["snakemake", "--cores", "2", *arguments], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_deployed_workflow_makes_what_one_changed_key_asks_for(deployed):
    config = deployed / "config/config.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"results": "elsewhere"}))
    shutil.copy(ROOT / "tests/micro.yaml", deployed)
    text = "elsewhere/corpora/phrasebook/de-en/train.de"
    snakemake(deployed, text, "--configfile", "micro.yaml")
    assert (deployed / text).read_text().count("\n") == 300
    output = snakemake(
        deployed, "--dry-run", "elsewhere/table1.csv", "elsewhere/audit.html", "--configfile", "micro.yaml"
    )
    assert "elsewhere/table1.csv" in output and "generate_phrasebook" in output
    again = snakemake(deployed, "--dry-run", text, "--configfile", "micro.yaml")
    assert "Nothing to be done" in again
