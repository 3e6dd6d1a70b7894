"""Example answers for the OpenAPI document."""

from typing import Any

CLASSIFICATION: dict[str, Any] = {
    "predictions": [
        {"plane": "fetal_brain", "label": "Fetal brain", "probability": 0.981},
        {"plane": "fetal_thorax", "label": "Fetal thorax", "probability": 0.011},
    ],
    "abstain": False,
    "abstain_reason": None,
    "sub_plane": {"plane": "trans_thalamic", "label": "Trans-thalamic", "probability": 0.874},
    "sub_plane_reason": None,
    "prediction_set": None,
    "frame": {
        "format": "png",
        "width": 959,
        "height": 661,
        "index": 0,
        "count": 1,
        "crop": [0, 0, 959, 661],
        "crop_source": "none",
    },
    "model": {"name": "fetal-planes", "version": "0.5.0", "sha256": "5f2b" * 16},
    "request_id": "0c8f0e6f0d4e4d0f9a4f6f2f3f1b7a55",
}

BATCH: dict[str, Any] = {
    "summary": {"files": 1, "frames": 1, "refused": 0, "files_left": 0, "complete": True, "cines": []},
    "request_id": CLASSIFICATION["request_id"],
    "records": [{**CLASSIFICATION, "source": {"file": 0, "name": "brain.png", "frame": 0}}],
}
