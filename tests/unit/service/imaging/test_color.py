import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom.data
import pytest
from numpy.typing import NDArray
from PIL import Image

from model_build.data.negatives.color_flow import with_flow
from model_build.evidence.doppler import gray, tinted, with_graphics
from service.imaging.color import FLOW, flow_share, reduce_colors
from service.imaging.decode import decode_frame
from service.imaging.frame import Frame
from service.imaging.sector import Box, full_box
from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle, with_orientation

Picture = NDArray[np.uint8]


def tissue(seed: int) -> Picture:
    """Return speckle of every brightness, like tissue, uint8 [240, 320]."""
    coarse = cv2.resize(np.random.default_rng(seed).rayleigh(1, (60, 80)), (320, 240), interpolation=cv2.INTER_CUBIC)
    return np.asarray((coarse * 75).clip(0, 255), np.uint8)


FRAMES = [tissue(seed) for seed in range(12)]


def flow(data: bytes) -> float:
    frame = decode_frame(data)
    return share(frame)


def share(frame: Frame) -> float:
    if frame.colors is None:
        return 0.0
    return flow_share(frame.colors, full_box(frame.pixels), *frame.pixels.shape)


def blue_green_red(colors: Picture) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(colors[..., ::-1]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_doppler_is_found_in_every_format(kind: str) -> None:
    found = 0
    for seed, frame in enumerate(FRAMES):
        painted = with_flow(frame, np.random.default_rng(seed))
        share_painted = float((np.ptp(painted, axis=2) > 40).mean())
        share_found = flow(encode(blue_green_red(painted), kind))
        assert 0.2 * share_painted < share_found < 1.3 * share_painted
        found += share_found > FLOW
    assert found >= len(FRAMES) - 1  # one has very little


@pytest.mark.parametrize("paint", [gray, tinted, with_graphics])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_tint_and_graphics_are_not_flow(paint: Callable[..., Picture], kind: str) -> None:
    for seed, frame in enumerate(FRAMES):
        assert flow(encode(blue_green_red(paint(frame, np.random.default_rng(seed))), kind)) < FLOW


def test_a_gray_file_has_no_color_copy() -> None:
    pixels = speckle()
    for data in (encode(pixels), encode(Image.fromarray(pixels).convert("RGB")), encode(pixels, "JPEG")):
        assert decode_frame(data).colors is None


def test_flow_outside_the_crop_does_not_count() -> None:
    colors = gray(tissue(0), np.random.default_rng(0))
    height, width = colors.shape[:2]
    colors[:, : width // 4] = (0, 0, 255)
    small = reduce_colors(colors)
    assert small is not None
    assert flow_share(small, Box(width // 2, 0, width, height), height, width) == 0
    assert flow_share(small, Box(0, 0, width // 2, height), height, width) == pytest.approx(0.5, abs=0.05)


def test_the_color_copy_is_upright_like_its_frame() -> None:
    painted = np.zeros((60, 80, 3), np.uint8)
    painted[:, :20] = (255, 0, 0)
    data = with_orientation("JPEG", painted, 6)  # a quarter turn: what was left is on top
    colors = decode_frame(data).colors
    assert colors is not None
    assert colors.shape[0] > colors.shape[1]
    assert colors[:4, :, 2].mean() > 200
    assert colors[-12:].mean() < 20


def test_transparent_colors_are_ignored() -> None:
    pixels = np.zeros((60, 80, 4), np.uint8)
    pixels[:, :40], pixels[:, 40:] = (255, 0, 0, 0), (0, 0, 0, 255)
    assert decode_frame(encode(Image.fromarray(pixels))).colors is None


YBR = {"jpeg_ls": (dicoms.LS_LOSSLESS, dicoms.jpeg_ls_lossless), "rle": (dicoms.RLE, dicoms.rle)}


@pytest.mark.parametrize("way", ["native", "native YBR", "palette", "jpeg", *YBR])
def test_doppler_is_found_in_dicom(way: str) -> None:
    painted = blue_green_red(with_flow(tissue(0), np.random.default_rng(0)))
    rgb, ybr = np.asarray(painted), np.asarray(painted.convert("YCbCr"))
    if way == "native":
        data = dicoms.native([rgb], PhotometricInterpretation="RGB")
    elif way == "native YBR":
        data = dicoms.native([ybr], PhotometricInterpretation="YBR_FULL")
    elif way == "jpeg":
        data = dicoms.compressed([rgb], dicoms.BASELINE, dicoms.jpeg, "YBR_FULL_422")
    elif way == "palette":
        data = paletted(painted)
    else:
        syntax, encoder = YBR[way]
        data = dicoms.compressed([ybr], syntax, encoder, "YBR_FULL")
    assert flow(data) > FLOW


def paletted(painted: Image.Image) -> bytes:
    indexed = painted.quantize(256)
    table = np.asarray(indexed.getpalette("RGB"), np.uint16).reshape(-1, 3)
    table = np.pad(table, ((0, 256 - len(table)), (0, 0))) * 257
    descriptors: dict[str, Any] = {
        f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in ("Red", "Green", "Blue")
    }
    tables: dict[str, Any] = {
        f"{name}PaletteColorLookupTableData": table[:, number].astype("<u2").tobytes()
        for number, name in enumerate(("Red", "Green", "Blue"))
    }
    return dicoms.native([np.asarray(indexed)], PhotometricInterpretation="PALETTE COLOR", **descriptors, **tables)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("examples_rgb_color.dcm", True),  # power Doppler of a lymph node
        ("examples_jpeg2k.dcm", True),
        ("examples_palette.dcm", False),
        ("examples_ybr_color.dcm", False),
    ],
)
def test_real_objects(name: str, expected: bool) -> None:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert (flow(Path(str(path)).read_bytes()) > FLOW) == expected


def test_every_frame_of_an_animation_has_its_color_copy() -> None:
    pictures = [blue_green_red(with_flow(tissue(seed), np.random.default_rng(seed))) for seed in range(2)]
    file = io.BytesIO()
    pictures[0].save(file, "PNG", save_all=True, append_images=pictures[1:])
    assert share(decode_frame(file.getvalue(), index=1)) > FLOW
