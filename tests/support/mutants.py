"""Damaged copies of files."""

import random
from zipfile import ZIP_STORED

import numpy as np

from tests.support.dicom_objects import compressed
from tests.support.file_kinds import MAKERS, drawn
from tests.support.hostile import HOSTILE
from tests.support.images import animation, encode
from tests.support.videos import CODECS, interlaced, numbered, trimmed, woven, write_video
from tests.support.zips import bomb, usb_export, zip_of

_MPEG_2 = "1.2.840.10008.1.2.4.100"
_MOST = 64 * 1024  # bytes of a hostile file that is mutated


def mutate(data: bytes, rng: random.Random, start: int = 0, header: int = 900) -> bytes:
    """Return a copy with one to four kinds of damage behind `start`, half of it before byte `header`."""
    mutant = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if len(mutant) <= start + 68:
            break
        at = rng.randrange(start, min(len(mutant), header) if rng.random() < 0.5 else len(mutant))
        span = rng.choice([1, 1, 2, 4, 16, 64])
        kind = rng.randrange(6)
        if kind == 0:
            mutant[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            mutant[at : at + span] = rng.randbytes(span)
        elif kind == 2:
            mutant[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x01\0\0\0"])
        elif kind == 3:
            del mutant[at : at + span]
        elif kind == 4:
            mutant[at:at] = mutant[at : at + span] * rng.randint(1, 3)
        elif rng.random() < 0.3:
            del mutant[at:]
    return bytes(mutant)


def seeds() -> dict[str, bytes]:
    """Return a small file of every honest and of every hostile kind, to be mutated; the honest ones thrice."""
    pixels = np.ascontiguousarray(drawn(640, 480)[::5, ::5])
    honest = {name: make(pixels) for name, make in MAKERS.items()}
    # The slow ones cost seconds each, and the large ones are about their size.
    hostile = {name: data for name, make in HOSTILE.items() if not is_slow(name) and len(data := make()) <= _MOST}
    again = {f"{name} ({number})": data for number in (2, 3) for name, data in honest.items()}
    return honest | again | hostile


def cine_seeds() -> dict[str, bytes]:
    """Return a small video of every kind, animations, a DICOM object with a video, and archives, to be mutated."""
    frames = numbered(14, 48, 96)
    videos = {kind: write_video(frames, kind) for kind in CODECS}
    videos["trimmed mp4"] = trimmed(videos["mp4"], 3, 25)
    videos["interlaced mpeg"] = interlaced(write_video(woven(6, 208, 96), "mpeg"))
    videos["gif"] = animation("GIF", frames[:4], duration=40)
    videos["avif"] = encode(frames[0], "AVIF")
    colored = [np.zeros((48, 96, 3), np.uint8)]
    videos["dicom"] = compressed(colored, _MPEG_2, lambda _: videos["mpeg"], "YBR_PARTIAL_420", NumberOfFrames=14)
    archives = {"usb export": zip_of(usb_export()), "stored": zip_of(videos.items(), ZIP_STORED), "bomb": bomb(20)}
    return videos | archives | {f"{name} (2)": data for name, data in videos.items()}


def is_slow(name: str) -> bool:
    """Return whether a hostile file takes a decoder more than some tenths of a second."""
    return "bomb" in name or "largest" in name or name.endswith(("slow", "scans", "limit", "256mib", "flood"))
