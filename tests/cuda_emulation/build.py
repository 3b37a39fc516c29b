"""Builds the emulation with the CMake and Ninja of this environment, into build/cuda_emulation/VARIANT."""

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent
ROOT = SOURCE.parents[1]
VARIANTS = ("plain", "fma", "address", "thread")


def build(variant: str = "plain", target: str = "fuzz", kernels: Path | None = None) -> Path:
    """The built program (target "fuzz") or extension module ("native"), with the kernels of another source if given."""
    folder = ROOT / "build" / "cuda_emulation" / (variant if kernels is None else f"{variant}-{kernels.stem}")
    options = [f"-DVARIANT={variant}", f"-DPython_EXECUTABLE={sys.executable}"]
    if kernels is not None:
        options.append(f"-DKERNELS={kernels}")
    run(["cmake", "-S", SOURCE, "-B", folder, "-G", "Ninja", *options])
    run(["cmake", "--build", folder, "--target", target])
    return next(folder.glob("native*.so")) if target == "native" else folder / target


def run(command: list) -> None:
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{result.stdout[-4000:]}{result.stderr[-4000:]}")


def fuzz_command(variant: str, program: Path) -> list[str]:
    # The race detector cannot bear every layout of the address space that the system may choose.
    return ["setarch", "-R", str(program)] if variant == "thread" else [str(program)]
