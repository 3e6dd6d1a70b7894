"""Freed memory stays in the process."""

import subprocess
import sys

import pytest

# glibc places an aligned tensor in a hole wider than the tensor, so the first rounds may each take new memory, until
# their holes have merged.
_PROGRAM = """
import resource, sys
import torch
if sys.argv[1] == "kept":
    from model_build.training.allocator import keep_freed_memory
    keep_freed_memory()
for _ in range(40):
    torch.ones(16 * 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Return the page faults of ten tensors of 64 MiB, one after another, after forty such tensors."""
    run = subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True, timeout=120)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_causes_no_page_faults() -> None:
    assert faults("kept") * 5 < faults("by default")
