"""The sources of the model's classes in a model's folder, so that transformers can load it without this package."""

import re
from pathlib import Path

import xlmd

_ROOT = Path(xlmd.__file__).parent
_MODEL = "method.model"
_OWN_IMPORT = re.compile(r"^from xlmd\.([\w.]+) import", re.MULTILINE)


def write_own_code(folder: Path) -> dict[str, str]:
    """Write the module of the model and all that it imports of this package, as files that import one another.

    Returns what config.json's `auto_map` is to say.
    """
    waiting, written = [_MODEL], set()
    while waiting:
        module = waiting.pop()
        if module in written:
            continue
        written.add(module)
        source = _ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        waiting += _OWN_IMPORT.findall(source)
        text = _OWN_IMPORT.sub(lambda found: f"from .{_file(found[1])} import", source)
        (folder / f"{_file(module)}.py").write_text(text, encoding="utf-8")
    model = f"{_file(_MODEL)}.XLMDForTranslation"
    return {"AutoConfig": f"{_file(_MODEL)}.XLMDConfig", "AutoModel": model, "AutoModelForSeq2SeqLM": model}


def _file(module: str) -> str:
    return f"xlmd_{module.replace('.', '_')}"
