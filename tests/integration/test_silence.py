"""Nothing but the log's own lines is written to standard error, whatever is sent."""

import subprocess
import sys

import pytest

from tests.support.images import encode, speckle

DECODE = """
import sys
from service.errors import Problem
from service.imaging.decode import decode_frame
from service.process_setup import configure_process
configure_process()
data = sys.stdin.buffer.read()
for end in range(0, len(data), max(1, len(data) // 40)):
    try:
        decode_frame(data[:end])
    except Problem:
        pass
"""


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_damaged_files_are_refused_without_a_word(kind: str) -> None:
    data = encode(speckle(40, 50), kind)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", DECODE], input=data, capture_output=True, check=True)
    # libpng has a word of its own, of a fixed text, which OpenCV does not let us take from it.
    said = [line for line in done.stderr.splitlines() if not line.startswith(b"libpng error: ")]
    assert (done.stdout, said) == (b"", [])
