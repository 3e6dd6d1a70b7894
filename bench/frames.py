"""Draw frames with the size and the grain of an ultrasound still: speckle in a sector on black."""

import cv2
import numpy as np


def scans(count: int = 8, height: int = 600, width: int = 800) -> list[bytes]:
    """Return `count` PNG files of `height` x `width` pixels. The same arguments give the same bytes."""
    return [_scan(np.random.default_rng(seed), height, width) for seed in range(count)]


def _scan(rng: np.random.Generator, height: int, width: int) -> bytes:
    tissue = cv2.resize(
        rng.uniform(20, 160, (12, 16)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    # The envelope of fully developed speckle has a Rayleigh distribution.
    speckled = cv2.GaussianBlur(tissue * rng.rayleigh(0.8, (height, width)).astype(np.float32), (0, 0), 1.2)
    sector = np.zeros((height, width), np.uint8)
    cv2.ellipse(sector, (width // 2, -height // 10), (height, height), 90, -38, 38, 255, -1)
    frame = np.where(sector > 0, np.clip(speckled, 0, 255), 0).astype(np.uint8)
    done, file = cv2.imencode(".png", frame)
    assert done
    return file.tobytes()
