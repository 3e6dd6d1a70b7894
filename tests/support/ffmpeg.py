"""Videos that OpenCV cannot write, by Debian's ffmpeg: H.264 and HEVC, with frames that are stored in another order."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.support.videos import Pixels, numbered

FFMPEG = shutil.which("ffmpeg")
WHY_NOT = "ffmpeg is not installed (apt-get install ffmpeg)"

ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_SUFFIXES = {"mp4": "mp4", "mpegts": "ts", "h264": "h264", "hevc": "hevc"}


def encode_video(
    frames: Sequence[Pixels], codec: str, container: str, *options: str, fps: float = 25, pixel_format: str = "yuv420p"
) -> bytes:
    """Return frames [H, W] as H.264 or HEVC with B frames, in MP4, a transport stream, or bare (`h264`, `hevc`)."""
    height, width = frames[0].shape
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"video.{_SUFFIXES[container]}"
        assert FFMPEG is not None
        subprocess.run(
            [
                *(FFMPEG, "-v", "error"),
                *("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", f"{fps}", "-i", "-"),
                *("-c:v", ENCODERS[codec], "-bf", "2", "-g", "12", "-pix_fmt", pixel_format, "-threads", "1"),
                *(("-x265-params", "log-level=none:pools=none") if codec == "hevc" else ()),
                *options,
                *("-f", container, str(path)),
            ],
            input=b"".join(frame.tobytes() for frame in frames),
            check=True,
            timeout=120,
        )
        return path.read_bytes()


@cache
def encoded_sample(codec: str, container: str, count: int = 40, pixel_format: str = "yuv420p") -> bytes:
    """Return numbered frames as `encode_video` does, at 20 frames per second."""
    return encode_video(numbered(count), codec, container, fps=20, pixel_format=pixel_format)
