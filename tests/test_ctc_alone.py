"""`xlmd.ctc` stands on its own: in an environment with torch alone it can be imported."""

import subprocess
import sys

PROGRAM = """
import sys, torch, torch.autograd.forward_ad
before = set(sys.modules)
import xlmd.ctc
print(*sorted({name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names}))
"""


def test_xlmd_ctc_imports_nothing_but_torch_and_itself():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    added = [name for name in run.stdout.split() if name.split(".")[0] != "torch"]
    assert "xlmd.ctc.functional" in added
    own = ("xlmd.ctc", "xlmd._cuda", "_cython", "cython_runtime")  # compiled modules put their runtime's names there
    assert not [name for name in added if not (name == "xlmd" or name.startswith(own))]
