"""What training frees stays with the process."""

import subprocess
import sys

import pytest

# glibc looks for an aligned tensor's place in a hole wider than the tensor, so the first few rounds may each take new
# memory, until the holes that they leave have grown together.
_MAPS = """
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
    """Page faults of ten tensors of 64 MiB, one after another, in a process that has had forty."""
    run = subprocess.run([sys.executable, "-c", _MAPS, how], capture_output=True, text=True, check=True, timeout=120)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's way")
def test_what_is_freed_is_not_faulted_in_again() -> None:
    assert faults("kept") * 5 < faults("by default")
