"""What all peers share: the frame's way to the network is ours, so that servers are compared and not decoders."""

from typing import Any

import onnxruntime as ort

from service.imaging.decode import decode_frame
from service.imaging.preprocess import prepare
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
        prepared, _ = prepare(decode_frame(upload).pixels, self.manifest.preprocessing)
        probabilities = self.session.run(["probabilities"], {"frames": prepared[None, None]})[0][0]
        best = probabilities.argsort()[::-1][:2]
        return {
            "predictions": [{"plane": self.manifest.planes[k].id, "probability": float(probabilities[k])} for k in best]
        }
