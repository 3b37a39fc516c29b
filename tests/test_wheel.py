"""The wheel is for strangers: an environment with torch alone, and no compiler, imports it and computes."""

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]

LOSS = """
import sys, torch
from xlmd._cuda import native
from xlmd.ctc import CTCLoss, LinearCTCLoss

torch.manual_seed(0)
hidden = torch.randn(2, 9, 4, requires_grad=True)
targets, lengths = torch.tensor([[1, 2], [2, 2]]), ([9, 7], [2, 2])
head = LinearCTCLoss(4, 5)
loss = head(hidden, targets, *lengths)
torch.testing.assert_close(loss, CTCLoss()(head.log_prob(hidden), targets, *lengths))
table = head.log_prob(hidden).transpose(0, 1)
torch.testing.assert_close(loss, torch.nn.functional.ctc_loss(table, targets, *map(torch.tensor, lengths)))
loss.backward()
print(native.__file__)
"""


def with_requirements(name):
    """A distribution that is installed here and all that it requires, directly or not."""
    found, waiting = {}, [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = metadata.distribution(name)
            for other in map(Requirement, found[name].requires or []):
                if other.marker is None or other.marker.evaluate({"extra": ""}):
                    waiting.append(other.name)
    return found.values()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    for program in ("pyproject-build", "auditwheel", "patchelf"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed; `make wheel` installs it")
    out = tmp_path_factory.mktemp("dist")
    result = subprocess.run([ROOT / ".ci/wheel", out], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (archive,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    assert archive.stem.removesuffix(".tar") == "-".join(wheel.name.split("-")[:2])
    return wheel


def test_the_wheel_says_which_systems_it_is_for_and_that_it_needs_torch_alone(wheel):
    assert "manylinux" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (described,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        requires = Parser().parsestr(archive.read(described).decode()).get_all("Requires-Dist")
    assert [name for name in requires if "extra" not in name] == ["torch>=2.11"]
    assert "xlmd/py.typed" in names and "xlmd/resources/corpora.yaml" in names
    assert not [name for name in names if name.endswith((".cpp", ".pyx", ".cu"))]


def test_an_environment_with_torch_alone_and_no_compiler_installs_it_and_computes_a_loss(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    for distribution in with_requirements("torch"):
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(distribution.locate_file(top)))
    environment = {"PATH": str(python.parent), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", wheel]
    subprocess.run(install, env=environment, check=True)
    run = subprocess.run([python, "-c", LOSS], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).is_relative_to(site)
    command = [python.parent / "xlmd", "translate", "--run", "x"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert told.returncode == 2
    assert "xlmd translate needs" in told.stderr and "pip install 'xlmd[translate]'" in told.stderr
