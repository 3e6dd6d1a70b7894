"""Nothing but the log's own lines is written to standard error, whatever is sent."""

import subprocess
import sys
from pathlib import Path

from tests.support.images import encode, speckle

DECODE = """
import sys
from pathlib import Path
from service.errors import Problem
from service.imaging.decode import decode_frame
from service.process_setup import configure_process
configure_process()
for path in map(Path, sys.argv[1:]):
    data = path.read_bytes()
    for end in range(0, len(data), max(1, len(data) // 40)):
        try:
            decode_frame(data[:end])
        except Problem:
            pass
"""


def test_damaged_files_are_refused_without_a_word(tmp_path: Path) -> None:
    paths = [tmp_path / kind for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")]
    for path in paths:
        path.write_bytes(encode(speckle(40, 50), path.name))
    command = [sys.executable, "-W", "ignore", "-c", DECODE, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, check=True)
    # libpng has a word of its own, of a fixed text, which OpenCV does not let us take from it.
    said = [line for line in done.stderr.splitlines() if not line.startswith(b"libpng error: ")]
    assert (done.stdout, said) == (b"", [])
