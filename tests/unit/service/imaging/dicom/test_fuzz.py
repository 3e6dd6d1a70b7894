"""Mutated DICOM objects: each is decoded or refused with its reason, within bounded time."""

import gc
import random
import resource
import struct
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from service.errors import Problem
from service.imaging.decode import decode_frame
from service.imaging.frame import Frame, Limits
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.mutants import mutate

SEED = 20
MUTANTS = 1000  # of each object
SLOWEST_S = 2.0
LIMITS = Limits(max_bytes=2**22, max_pixels=2**20)

GRAY = speckle(24, 32, seed=1)
COLOR = np.dstack([GRAY, 255 - GRAY, GRAY])
DEEP = GRAY.astype(np.uint16) * 257
LUT: dict[str, Any] = {f"{name}PaletteColorLookupTable{part}": value for name in ("Red", "Green", "Blue")
       for part, value in (("Descriptor", [256, 0, 16]), ("Data", bytes(512)))}  # fmt: skip
SEGMENTED: dict[str, Any] = {key: value for key, value in LUT.items() if key.endswith("Descriptor")} | {
    f"Segmented{name}PaletteColorLookupTableData": struct.pack("<11H", 0, 2, 0, 100, 1, 127, 65535, 2, 1, 4, 0)
    for name in ("Red", "Green", "Blue")
}


def lossless_16(predictor: int, restart_rows: int = 0) -> bytes:
    return dicoms.compressed(
        [DEEP], dicoms.LOSSLESS, lambda f: dicoms.lossless_jpeg(f, 16, predictor, restart_rows), "MONOCHROME2"
    )


def jpeg_cine(**changes: Any) -> bytes:
    return dicoms.compressed([GRAY] * 3, dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2", **changes)


def sequences() -> bytes:
    """Return an object with sequences of undefined length, one in the other, and an icon with fragments of its own."""
    inner, icon, region = Dataset(), dicoms.describe([GRAY]), dicoms.region(0, 0, 31, 23)
    inner.CodeValue = "1"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    icon.PixelData = encapsulate([dicoms.jpeg(GRAY)])
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", True
    ds = dicoms.describe([GRAY])
    for keyword, items in (("ReferencedImageSequence", [outer]), ("IconImageSequence", [icon]),
                           ("SequenceOfUltrasoundRegions", [region, region])):  # fmt: skip
        setattr(ds, keyword, Sequence(items))
        ds[keyword].is_undefined_length = True
        for item in items:
            item.is_undefined_length_sequence_item = True
    return dicoms.write(ds, GRAY.tobytes(), dicoms.EXPLICIT)


OBJECTS: dict[str, Callable[[], bytes]] = {
    "implicit": lambda: dicoms.native([GRAY], dicoms.IMPLICIT),
    "explicit": lambda: dicoms.native([GRAY], SequenceOfUltrasoundRegions=Sequence([dicoms.region(0, 0, 31, 23)])),
    "big-endian": lambda: dicoms.native([GRAY.astype(np.uint16)], dicoms.BIG, WindowCenter=128, WindowWidth=256),
    "deflated": lambda: dicoms.native([COLOR], dicoms.DEFLATED),
    "sequences": sequences,
    "segmented palette": lambda: dicoms.native([GRAY], photometric="PALETTE COLOR", **SEGMENTED),
    "palette": lambda: dicoms.native([GRAY], photometric="PALETTE COLOR", **LUT),
    "bare": lambda: dicoms.native([GRAY])[132:],
    "shared colors": lambda: dicoms.native([COLOR], photometric="YBR_FULL_422"),
    "cine": lambda: dicoms.native([GRAY] * 4, dicoms.EXPLICIT),
    "jpeg cine": jpeg_cine,
    "jpeg fragments": lambda: jpeg_cine(fragments=2),
    "jpeg color": lambda: dicoms.compressed([COLOR], dicoms.BASELINE, dicoms.jpeg, "YBR_FULL_422"),
    "lossless": lambda: dicoms.compressed([COLOR], dicoms.LOSSLESS, dicoms.lossless_jpeg, "RGB"),
    "lossless 16": lambda: lossless_16(1),
    "lossless 16, in intervals": lambda: lossless_16(6, restart_rows=5),
    "extended 12": dicoms.extended,
    "rle": lambda: dicoms.compressed([COLOR], dicoms.RLE, dicoms.rle, "RGB"),
    "jpeg-ls": lambda: dicoms.compressed([GRAY], dicoms.LS_LOSSLESS, dicoms.jpeg_ls_lossless, "MONOCHROME2"),
    "jpeg 2000": lambda: dicoms.compressed([GRAY], dicoms.J2K, dicoms.jpeg_2000, "MONOCHROME2"),
}


def has_plain_detail(problem: Problem) -> bool:
    return 400 <= problem.status < 500 and problem.detail.endswith(".")


def sound(frame: Frame) -> bool:
    return frame.pixels.dtype == np.uint8 and 0 < frame.pixels.size <= LIMITS.max_pixels


# Outside the tests a warning is a warning; pydicom's must not be what refuses a file here.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OBJECTS)
def test_a_damaged_object_is_decoded_or_refused(name: str) -> None:
    rng, data = random.Random(f"{SEED} {name}"), OBJECTS[name]()
    read = refused = 0
    for _ in range(MUTANTS):
        mutant = mutate(data, rng, start=132)
        started = perf_counter()
        try:
            frame = decode_frame(mutant, index=rng.choice([0, 0, 0, 2]), limits=LIMITS)
        except Problem as problem:
            refused += has_plain_detail(problem)
        else:
            read += sound(frame)
        assert perf_counter() - started < SLOWEST_S
    assert read + refused == MUTANTS
    assert read  # else the damage is too much
    assert refused  # or none


def test_at_least_twenty_thousand_files_are_tried() -> None:
    assert MUTANTS * len(OBJECTS) >= 20_000


@pytest.mark.filterwarnings("ignore")
def test_refusals_leave_no_memory_behind() -> None:
    rng, objects = random.Random(SEED), [make() for make in OBJECTS.values()]

    def round_of_refusals() -> int:
        for data in objects * 10:
            try:
                decode_frame(mutate(data, rng, start=132), limits=LIMITS)
            except Problem:
                continue
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = [round_of_refusals() for _ in range(3)][-1]
    after = [round_of_refusals() for _ in range(5)][-1]
    assert after - before < 16 * 1024  # KiB, of 700 files
