"""Where the host waits for a GPU, read from the source: a lint of the functions that run for every batch.

It starts from a few functions and goes on to all that they may call, found by name, so that it finds too many rather
than too few. It knows a wait by how it is written; what only a run can tell, `test_host_waits.py` runs.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import xlmd

ROOT = Path(xlmd.__file__).parent
_READS = {"item", "tolist", "numpy", "cpu", "nonzero", "masked_select", "unique", "synchronize", "__bool__"}
_NUMBERS = {"int", "float", "bool"}
_TRUTHS = {"any", "all", "equal"}
_WIDTHS = {"inside", "longest_of"}  # without a width they look for the longest

Function = ast.FunctionDef


def functions(files: Sequence[str]) -> dict[str, Function]:
    """All functions of some files or folders below xlmd/, by path, class and name: "nat/lengths.py:LengthHead.beam"."""
    found = {}
    for name in files:
        for path in sorted((ROOT / name).rglob("*.py")) if (ROOT / name).is_dir() else [ROOT / name]:
            module = ast.parse(path.read_text(encoding="utf-8"))
            for owner, function in _defined(module):
                found[f"{path.relative_to(ROOT)}:{owner}{function.name}"] = function
    return found


def _defined(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield owner, node
        elif isinstance(node, ast.ClassDef):
            yield from _defined(node, f"{node.name}.")


def reached(known: dict[str, Function], roots: Sequence[str]) -> dict[str, Function]:
    """The roots, and every known function that has a name which one of those found mentions."""
    by_name: dict[str, list[str]] = {}
    for key in known:
        by_name.setdefault(key.rpartition(":")[2].rpartition(".")[2], []).append(key)
    found: dict[str, Function] = {}
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = known[key]
            waiting += [other for name in _mentioned(known[key]) for other in by_name.get(name, [])]
    return found


def _mentioned(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else node.attr


def waits(function: Function) -> list[str]:
    """The expressions of a function that make the host wait for a GPU; what runs on a CPU alone is not looked at."""
    truths = _truths(function)
    return [ast.unparse(node) for node in _on_a_gpu(function.body) if _is_wait(node, truths)]


def _on_a_gpu(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, but for those that stand behind a test of `is_cuda` which fails on a GPU."""
    for node in body:
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.If) and (side := _gpu_side(node.test)) is not None:
            yield from _on_a_gpu(node.body if side else node.orelse)
            if side and isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue):
                return  # what follows is the CPU's
            continue
        if isinstance(node, ast.BoolOp) and _gpu_side(node) is not None:
            continue
        if isinstance(node, ast.IfExp) and (side := _gpu_side(node.test)) is not None:
            yield from _on_a_gpu([node.body if side else node.orelse])
            continue
        yield node
        yield from _on_a_gpu(list(ast.iter_child_nodes(node)))


def _gpu_side(test: ast.expr) -> bool | None:
    """Whether a test is true on a GPU (True) or false there (False); None if it asks something else."""
    if isinstance(test, ast.Attribute) and test.attr == "is_cuda":
        return True
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        side = _gpu_side(test.operand)
        return None if side is None else not side
    if isinstance(test, ast.BoolOp):  # `on a GPU or …` is true there, `not on a GPU and …` false
        decides = isinstance(test.op, ast.Or)
        return decides if any(_gpu_side(part) is decides for part in test.values) else None
    return None


def _is_wait(node: ast.AST, truths: set[str]) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if isinstance(node.func, ast.Attribute) and name in _READS:
            return True
        if isinstance(node.func, ast.Name) and name in _NUMBERS:
            return not isinstance(node.args[0], ast.Constant)
        if name in _WIDTHS:
            return len(node.args) == 1
        return _is_copy(node, name)
    if isinstance(node, ast.If | ast.While | ast.Assert | ast.IfExp):
        return any(_is_truth(part) for part in ast.walk(node.test))
    if isinstance(node, ast.Assign):
        return _is_number(node.value) and any(_is_place(target) for target in node.targets)
    if isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return any(_is_mask(part, truths) for part in parts)
    return False


def _is_number(value: ast.expr) -> bool:
    if isinstance(value, ast.UnaryOp):
        return _is_number(value.operand)
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in _NUMBERS
    return isinstance(value, ast.Constant) and isinstance(value.value, int | float)


def _is_place(target: ast.expr) -> bool:
    """Whether it is a single place of a tensor: a number assigned there is copied from the host, not filled in."""
    if not isinstance(target, ast.Subscript):
        return False
    parts = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
    return all(isinstance(part, ast.Name | ast.Attribute | ast.Constant | ast.UnaryOp) for part in parts)


def _is_copy(call: ast.Call, name: str | None) -> bool:
    """Whether a copy from the host, or to it, waits until it is done."""
    options = {keyword.arg for keyword in call.keywords}
    if name == "tensor":
        return "device" in options
    devices = [arg for arg in call.args if ast.unparse(arg).endswith("device") or ast.unparse(arg) == "'cpu'"]
    return name == "to" and "non_blocking" not in options and ("device" in options or bool(devices))


def _is_truth(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TRUTHS


def _truths(function: Function) -> set[str]:
    """The names that hold tensors of truth values, as far as what is assigned to them shows it."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                found |= {left.id for left, right in pairs if isinstance(left, ast.Name) and _is_mask(right, found)}
    return found


# Functions and properties of this project that return truth values.
_MASKS = {
    "inside", "uniform_mask", "block_mask", "random_span", "random_subsets", "random_kept", "reveal",
    "least_probable", "visible",
}  # fmt: skip


def _is_mask(node: ast.AST, truths: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in truths
    if isinstance(node, ast.Attribute):
        return node.attr in _MASKS
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        kept = name in {"repeat", "view", "flatten", "reshape", "clone"} and any(
            _is_mask(part, truths) for part in [*node.args, *([inner] if inner else [])]
        )
        return name in _MASKS or name == "bool" and isinstance(node.func, ast.Attribute) or kept
    if isinstance(node, ast.Compare):
        return not any(isinstance(op, ast.Is | ast.IsNot | ast.In | ast.NotIn) for op in node.ops)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Invert)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitAnd | ast.BitOr) and (
            _is_mask(node.left, truths) or _is_mask(node.right, truths)
        )
    return isinstance(node, ast.Subscript) and _is_mask(node.value, truths)
