"""CUDA's syntax as C++: launches become calls, shared arrays views of the emulated block's. Lines stay where they are.

python translate.py SOURCE.cu RESULT.cpp
"""

import re
import sys
from pathlib import Path


def closing(text: str, start: int) -> int:
    """Where the bracket that opens at `start` closes."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    raise ValueError(f"a bracket opens and never closes: {text[start : start + 60]!r}")


def split(text: str) -> list[str]:
    """At the commas outside any bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def shared_arrays(code: str) -> str:
    """`__shared__ T a[N], b[M];` and `extern __shared__ T c[];`"""

    def views(match: re.Match) -> str:
        kind, declared = match.groups()
        found = []
        for number, array in enumerate(declared.split(",")):
            name, size = re.fullmatch(r"\s*(\w+)\[(.+)\]\s*", array).groups()
            identity = match.start() * 8 + number + 1
            memory = f"::emulation::shared_memory({identity}, sizeof({kind}[{size}]))"
            found.append(f"{kind} (&{name})[{size}] = *static_cast<{kind}(*)[{size}]>({memory});")
        return " ".join(found)

    dynamic = r"\1* \2 = static_cast<\1*>(::emulation::shared_memory(0, 0));"
    code = re.sub(r"extern\s+__shared__\s+([\w:]+)\s+(\w+)\[\];", dynamic, code)
    code = re.sub(r"__shared__\s+([\w:]+)\s+([^;]+);", views, code)
    assert "__shared__" not in code, "a shared variable in a form unknown here"
    return code


def launches(code: str) -> str:
    """`kernel<...><<<grid, block, bytes, stream>>>(arguments)`"""
    while (at := code.find("<<<")) >= 0:
        end = code.index(">>>", at)
        start = re.search(r"[\w:]+(<[^;{}]*>)?\s*$", code[:at]).start()
        last = closing(code, code.index("(", end))
        settings = split(code[at + 3 : end])
        settings += ["0", "nullptr"][len(settings) - 2 :]
        kernel, arguments = code[start:at].strip(), code[end + 3 : last + 1]
        call = f"::emulation::launch({', '.join(settings)}, [=] {{ {kernel}{arguments}; }})"
        call += "\n" * (code[start:last].count("\n") - call.count("\n"))
        code = code[:start] + call + code[last + 1 :]
    return code


def translated(source: Path) -> str:
    code = source.read_text(encoding="utf-8")
    result = launches(shared_arrays(code))
    assert result.count("\n") == code.count("\n"), "a line was lost or won"
    return f'#line 1 "{source}"\n{result}'


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(translated(Path(sys.argv[1])), encoding="utf-8")
