"""What all peers do with a frame: Pillow opens it, as their documentation has it; the crop, which the model's answers
depend on, is lent by us; and ONNX Runtime runs the model in a session of its defaults.
"""

import io
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image

from service.imaging.letterbox import crop_and_letterbox
from service.inference.package import load_package
from service.settings import Settings


class DefaultSession:
    """The shipped classifier in a session of ONNX Runtime's defaults."""

    def __init__(self) -> None:
        package = load_package(Settings().model)
        self.manifest = package.manifest
        self.session = ort.InferenceSession(package.classifier, providers=["CPUExecutionProvider"])

    def classify(self, upload: bytes) -> dict[str, Any]:
        """The two most probable planes of an upload."""
        pixels = np.asarray(Image.open(io.BytesIO(upload)).convert("L"))
        prepared, _ = crop_and_letterbox(pixels, self.manifest.preprocessing)
        probabilities = self.session.run(["probabilities"], {"frames": prepared[None, None]})[0][0]
        best = probabilities.argsort()[::-1][:2]
        return {
            "predictions": [{"plane": self.manifest.planes[k].id, "probability": float(probabilities[k])} for k in best]
        }
