"""Random problems through the emulated CUDA kernels: `make fuzz-cuda`, or from `tests/` `python -m cuda_emulation`.

    python -m cuda_emulation [--variant plain|fma|address|thread] [-n PROBLEMS] [--seed SEED] [--wide SHARE]

Builds the program first if need be. Every problem runs in three orders of the lanes.
"""

import argparse
import subprocess
import sys

from cuda_emulation.build import VARIANTS, build, fuzz_command


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, default="plain")
    options, of_fuzz = parser.parse_known_args()
    return subprocess.run([*fuzz_command(options.variant, build(options.variant)), *of_fuzz]).returncode


if __name__ == "__main__":
    sys.exit(main())
