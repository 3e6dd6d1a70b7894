"""PyTorch and Captum behind FastAPI: Grad-CAM as the library offers it, with a backward pass of the whole network.

The network is that of the shipped recipe with untrained weights, which cost the same. The crop is ours.
"""

import io
import sys
import threading
from typing import Annotated, Any

import numpy as np
import torch
import uvicorn
from captum.attr import LayerGradCam
from fastapi import Body, FastAPI
from PIL import Image

from model_build.models.classifier import create_classifier
from model_build.recipe import load_recipe
from service.imaging.letterbox import crop_and_letterbox
from service.inference.package import load_package
from service.settings import Settings

manifest = load_package(Settings().model).manifest
model = create_classifier(load_recipe("default").network, len(manifest.planes)).eval()
cam = LayerGradCam(model, model.backbone)
one_at_a_time = threading.Lock()  # hooks of one module are shared by all threads
app = FastAPI()


@app.post("/explain")
def explain(upload: Annotated[bytes, Body(media_type="application/octet-stream")]) -> dict[str, Any]:
    """Return the most probable plane of one frame and its heat map."""
    pixels = np.asarray(Image.open(io.BytesIO(upload)).convert("L"))
    prepared, _ = crop_and_letterbox(pixels, manifest.preprocessing)
    frames = torch.from_numpy(prepared)[None, None].float()
    with one_at_a_time:
        with torch.inference_mode():
            probabilities = model(frames).softmax(1)[0]
        target = int(probabilities.argmax())
        heat = cam.attribute(frames, target, relu_attributions=True)[0, 0]
    return {"plane": manifest.planes[target].id, "heatmap": heat.tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
