"""An extra brings all that its commands import, so that `pip install 'xlmd[translate]'` translates."""

import ast
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from xlmd import cli
from xlmd.experiment.code_version import _reached
from xlmd.systems import system_names

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
KNOWN = packages_distributions()


def brought(extra):
    """The distributions that an installation with an extra names."""
    found = set()
    for requirement in map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]):
        name = canonicalize_name(requirement.name)
        found |= {name} if name != "xlmd" else set().union(*map(brought, requirement.extras))
    return found


def imported(verb):
    """The distributions of what a verb imports outside of the project, with any system."""
    own, paths = _reached(verb, [f"xlmd.systems.{name}" for name in system_names()])
    modules = set().union(*map(modules_in, own), *(modules_of(path) for path in paths if path.suffix == ".py"))
    return {canonicalize_name(KNOWN[module][0]) for module in modules}


@cache
def modules_of(source):
    return modules_in(ast.parse(source.read_text(encoding="utf-8")))


def modules_in(tree):
    nodes = list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - {"xlmd", "_typeshed"} - sys.stdlib_module_names


@pytest.mark.parametrize("verb", ["translate", "demo", "export"])
def test_what_uses_a_trained_run_needs_the_extra_translate(verb):
    assert imported(verb) <= brought("translate") | brought("engine")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_what_the_workflow_does_needs_the_extra_workflow(verb):
    assert imported(verb) <= brought("workflow") | brought("engine")
