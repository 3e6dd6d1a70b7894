"""Example answers for the OpenAPI document, and the example files: `/sample`."""

from typing import Any

from pydantic import Field

from service.schemas import Schema


class Sample(Schema):
    """A drawn file to try the service with."""

    name: str = Field(description="Last part of the path of the file.", examples=["brain.png"])
    media_type: str = Field(description="Media type of the file.", examples=["image/png"])
    planes: list[str] = Field(description="Ids of the planes that it shows; empty for a frame of no standard plane.")


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
        "seconds": None,
        "crop": [0, 0, 959, 661],
        "crop_source": "none",
    },
    "model": {"name": "fetal-planes", "version": "0.5.0", "sha256": "5f2b" * 16, "precision": "float32"},
    "request_id": "0c8f0e6f0d4e4d0f9a4f6f2f3f1b7a55",
}

BATCH: dict[str, Any] = {
    "summary": {"files": 1, "frames": 1, "refused": 0, "files_left": 0, "complete": True, "cines": [], "skipped": []},
    "request_id": CLASSIFICATION["request_id"],
    "records": [{**CLASSIFICATION, "source": {"file": 0, "name": "brain.png", "frame": 0}}],
}

EXPLANATION: dict[str, Any] = {
    **CLASSIFICATION,
    "explanation": {
        "method": "grad-cam",
        "target": "fetal_brain",
        "heatmap": [[0.0, 0.21, 0.08], [0.35, 1.0, 0.42], [0.02, 0.3, 0.11]],
        "raw_max": 1.37,
        "empty": False,
        "overlay": None,
    },
}

_BEST: dict[str, Any] = {
    "source": {"file": 0, "name": "brain.png", "frame": 0},
    **CLASSIFICATION["predictions"][0],
    "runner_up": CLASSIFICATION["predictions"][1],
    "sub_plane": CLASSIFICATION["sub_plane"],
    "sub_plane_reason": None,
    "seconds": None,
    "tied": False,
    "correction": None,
}
_FEMUR: dict[str, Any] = {"plane": "fetal_femur", "label": "Fetal femur"}
_ITEM: dict[str, Any] = {
    "label": "Fetal brain",
    "one_of": [{"plane": "fetal_brain", "sub_plane": None, "label": "Fetal brain"}],
    "min": 1,
    "optional": False,
    "note": None,
    "state": "fulfilled",
    "frames": [
        {"source": _BEST["source"], "plane": "fetal_brain", "sub_plane": None, "probability": 0.981, "doubt": None}
    ],
    "doubtful": [],
}
_NO_FEMUR = {
    **_ITEM,
    "label": "Fetal femur",
    "one_of": [{**_FEMUR, "sub_plane": None}],
    "state": "missing",
    "frames": [],
}

EXAM: dict[str, Any] = {
    "protocol": {
        "id": "our-list",
        "name": "Brain and femur",
        "version": "3",
        "exam": "Follow-up",
        "source": {"guideline": "List of the department", "doi": None, "date": "2026-03"},
        "not_covered": None,
    },
    "items": [_ITEM, _NO_FEMUR],
    "planes": [
        {
            "plane": "fetal_brain",
            "label": "Fetal brain",
            "best": _BEST,
            "chosen": False,
            "frames": [_BEST],
        },
        {**_FEMUR, "best": None, "chosen": False, "frames": []},
    ],
    "review": [],
    "refused": [],
    "without_plane": [],
    "duplicates": [],
    "cines": [],
    "skipped": [],
    "files": 1,
    "files_left": 0,
    "frames": 1,
    "complete": True,
    "model": CLASSIFICATION["model"],
    "request_id": CLASSIFICATION["request_id"],
}

CORRECTIONS: dict[str, Any] = {
    "corrections": [
        {
            "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "frame": 0,
            "model": CLASSIFICATION["model"],
            "answer": {"plane": "fetal_brain", "sub_plane": None, "abstain_reason": None, "probability": 0.71},
            "verdict": "supplemented",
            "plane": "fetal_abdomen",
            "study": "1.2.826.0.1.3680043.8.498.1",
            "patient": "4711",
            "machine": "Voluson E10",
            "protocol": "fetal-biometry 1",
        }
    ]
}

ANSWERS = {
    "Classification": CLASSIFICATION,
    "ExplainedClassification": EXPLANATION,
    "Batch": BATCH,
    "ExamReport": EXAM,
}
"""The example of each answer to an upload, by the name of its type."""
