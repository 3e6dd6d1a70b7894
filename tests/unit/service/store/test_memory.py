"""What a store adds to the memory of a service, as docs/how-to/container.md says."""

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.store import secret_file, sqlite_url

MEASURE = """
import sys
from pathlib import Path
import service.app
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
before = resident()
from service.store import open_store
from service.store.options import StoreOptions
from service.store.selection import Selection
from tests.support.store import new
store = open_store(StoreOptions(sys.argv[1], Path(sys.argv[2])))
store.add([new(number) for number in range(1000)], None)
store.page(Selection(0, 1000))
store.close()
print((resident() - before) // 1024)
"""


def test_a_store_needs_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURE, sqlite_url(tmp_path), str(secret_file(tmp_path))]
    measured = int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)
    assert 5 < measured < 48  # MiB; 27 when this was written
