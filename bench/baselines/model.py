"""The work of every other server: Pillow decodes, our code crops, and ONNX Runtime runs with its default session.

The crop is ours because the model's answers depend on it; without it the other servers would solve a different task.
"""

import io
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image

from service.imaging.letterbox import crop_and_letterbox
from service.inference.package import load_package
from service.schemas.manifest import Precision
from service.settings import Settings


class DefaultSession:
    """The shipped classifier, in either precision, in a session with ONNX Runtime's default options."""

    def __init__(self, precision: Precision = "float32") -> None:
        package = load_package(Settings().model).at(precision)
        self.manifest = package.manifest
        self.session = ort.InferenceSession(package.classifier, providers=["CPUExecutionProvider"])

    def classify(self, upload: bytes) -> dict[str, Any]:
        """Return the two most probable planes of an upload."""
        pixels = np.asarray(Image.open(io.BytesIO(upload)).convert("L"))
        prepared, _ = crop_and_letterbox(pixels, self.manifest.preprocessing)
        probabilities = self.session.run(["probabilities"], {"frames": prepared[None, None]})[0][0]
        best = probabilities.argsort()[::-1][:2]
        return {
            "predictions": [{"plane": self.manifest.planes[k].id, "probability": float(probabilities[k])} for k in best]
        }
