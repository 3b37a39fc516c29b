"""What a verb's results depend on: the sources that it reaches, as one hash.

Snakemake reruns a rule when its parameters change, not when a module that its command imports does. So every rule
carries this hash as a parameter: editing a module reruns just the rules whose command imports it, directly or not.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import xlmd

ROOT = Path(xlmd.__file__).parent


def code_version(verb: str, modules: Iterable[str] = (), resources: Iterable[str] = ()) -> str:
    """A hash over the verb's own function in `xlmd.cli` and what it names there, `modules`, and all that these import.

    modules: names that the verb finds only when it runs, such as "xlmd.systems.transformer". resources: files below
    xlmd/resources that it reads.
    """
    own, reached = _reached(verb, modules)
    digest = hashlib.sha256("\n".join(map(_effective, own)).encode())
    for path in reached:
        digest.update(str(path.relative_to(ROOT)).encode() + _content(path))
    for name in resources:
        digest.update(name.encode() + (ROOT / "resources" / name).read_bytes())
    return digest.hexdigest()[:16]


def table(verbs: Iterable[tuple[str, str, Iterable[str]]]) -> str:
    """Which files make a verb's results stale, as Markdown.

    verbs: (what a row is called, verb, modules as of `code_version`).
    """
    lines = ["| verb | files below `xlmd/`, beside its own function in `cli.py` |", "| --- | --- |"]
    for called, verb, modules in verbs:
        rooms: dict[str, list[str]] = {}
        for path in _reached(verb, modules)[1]:
            room, name = path.relative_to(ROOT).parent.as_posix(), path.stem.replace("__init__", "(registry)")
            rooms.setdefault("" if room == "." else f"{room}/", []).append(name)
        cells = [f"{room}{', '.join(['all'] if room == '_cuda/' else names)}" for room, names in rooms.items()]
        lines.append(f"| {called} | {'; '.join(cells)} |")
    return "\n".join(lines)


def _reached(verb: str, modules: Iterable[str]) -> tuple[list[ast.AST], list[Path]]:
    """The parts of `xlmd.cli` that are the verb, and the source files that these and `modules` import."""
    tree = ast.parse((ROOT / "cli.py").read_text(encoding="utf-8"))
    own = _used(verb, dict(_named(tree)))
    reached: set[Path] = set()
    for module in [*(name for node in own for name in _imports(node)), *modules]:
        _reach(module, reached)
    return own, sorted(reached)


@cache
def _content(path: Path) -> bytes:
    """What of a source file can change a result."""
    source = path.read_bytes()
    return _effective(ast.parse(source)).encode() if path.suffix == ".py" else source


def _effective(tree: ast.AST) -> str:
    """Python without comments and docstrings: to mend one must not cost a training."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _named(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """The functions and constants of a module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            yield from ((target.id, node) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def _used(verb: str, named: dict[str, ast.AST]) -> list[ast.AST]:
    """The verb's function and the helpers and constants beside it that it names, directly or not."""
    used, waiting = {}, [verb]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = named[name]
            names = {node.id for node in ast.walk(named[name]) if isinstance(node, ast.Name)}
            waiting += sorted(other for other in names & set(named) if other.startswith("_"))
    return [used[name] for name in sorted(used)]


def _reach(module: str, reached: set[Path]) -> None:
    for path in _files(module):
        if path not in reached:
            reached.add(path)
            if path.suffix == ".py":
                for name in _imported_by(path):
                    _reach(name, reached)


@cache
def _imported_by(path: Path) -> tuple[str, ...]:
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("xlmd"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("xlmd") and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(module: str) -> list[Path]:
    """The source files of a module; of the native library everything that is compiled into it."""
    relative = module.split(".")[1:]
    path = ROOT.joinpath(*relative)
    if relative[:1] == ["_cuda"]:
        sources = (".h", ".hpp", ".cpp", ".cu", ".cuh", ".pyx", ".pxd", ".py")
        return sorted(file for file in (ROOT / "_cuda").rglob("*") if file.suffix in sources)
    candidates = [path.with_suffix(".py"), path / "__init__.py"] if relative else []
    return [candidate for candidate in candidates if candidate.is_file()]


if __name__ == "__main__":
    from xlmd.cli import VERBS
    from xlmd.systems import system_names

    def rows() -> Iterator[tuple[str, str, list[str]]]:
        for verb in VERBS:
            if verb in ("train", "decode"):
                yield from ((f"{verb} {name}", verb, [f"xlmd.systems.{name}"]) for name in system_names())
            else:
                yield verb, verb, []

    print(table(rows()))
