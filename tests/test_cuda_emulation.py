"""The CUDA kernels' own source on emulated threads, against the CPU's library and float64."""

import subprocess

from cuda_emulation.build import build, fuzz_command


def test_random_problems_through_the_emulated_kernels():
    done = subprocess.run(
        [*fuzz_command("plain", build()), "-n", "80", "--wide", "0.05"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "80 problems of seed 1, 0 failures" in done.stdout
