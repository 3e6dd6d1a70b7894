"""What the page must show, computed from the service or from the model in numpy."""

from typing import Any

import cv2
import httpx2 as httpx
import numpy as np
from numpy.typing import NDArray

from service.imaging.letterbox import crop_and_letterbox
from service.schemas.manifest import Preprocessing
from tests.support.phantom_package import Phantom


def service_overlay(address: str, content: bytes, **query: Any) -> NDArray[np.uint8]:
    reply = httpx.post(f"{address}/explain", params=query, content=content, headers={"accept": "image/png"})
    picture = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[..., ::-1], np.uint8)


def explained(address: str, content: bytes, **query: Any) -> dict[str, Any]:
    """Return the explanation in the answer of `/explain`."""
    reply = httpx.post(f"{address}/explain", params={"overlay": False, **query}, content=content)
    explanation: dict[str, Any] = reply.json()["explanation"]
    return explanation


def assert_same_picture(found: NDArray[np.uint8], wanted: NDArray[np.uint8], gray_levels: int = 6) -> None:
    assert found.shape == wanted.shape
    difference = np.abs(found.astype(int) - wanted)
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99.5) <= gray_levels


def expected_predictions(phantom: Phantom, pixels: NDArray[np.uint8]) -> list[tuple[str, float]]:
    prepared, _ = crop_and_letterbox(pixels, Preprocessing(size=phantom.size, crop=phantom.crop))  # type: ignore[arg-type]
    named = zip(phantom.planes, phantom.probabilities(prepared).tolist(), strict=True)
    return sorted(((name.replace("_", " ").capitalize(), p) for name, p in named), key=lambda pair: -pair[1])
