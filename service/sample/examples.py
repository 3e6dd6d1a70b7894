"""The example files, and the plane that the shipped model names in each."""

from dataclasses import dataclass
from functools import cache

import cv2

_LOOP_STEPS = 8  # frames of each shot of the loop


@dataclass(frozen=True)
class Example:
    """An example file: its frames, as kind and seed of a shot, and the planes that they show."""

    name: str
    shots: tuple[tuple[str, int], ...]
    planes: tuple[str, ...]

    @property
    def media_type(self) -> str:
        """Return the media type of the file."""
        return "image/png" if self.name.endswith(".png") else "application/dicom"


# Seeds whose frames the shipped model answers with a wide margin; `tests/unit/service/sample` measures it.
_EXAMPLES = (
    Example("brain.png", (("brain", 4),), ("fetal_brain",)),
    Example("abdomen.png", (("abdomen", 85),), ("fetal_abdomen",)),
    Example("femur.png", (("femur", 8),), ("fetal_femur",)),
    Example("thorax.png", (("thorax", 5),), ("fetal_thorax",)),
    Example("cervix.png", (("cervix", 14),), ("maternal_cervix",)),
    Example("no-plane.png", (("placenta", 45),), ()),
    Example("still.dcm", (("femur", 0),), ("fetal_femur",)),
    Example("loop.dcm", (("brain", 1), ("femur", 8)), ("fetal_brain", "fetal_femur")),
)
EXAMPLES = {example.name: example for example in _EXAMPLES}
"""The example files by name. Those without `planes` show none."""


@cache
def encode_example(example: Example) -> bytes:
    """Return the contents of an example file. A DICOM file needs the extra `dicom`."""
    from service.sample.frames import draw_frame  # few requests draw

    if example.media_type == "image/png":
        [(kind, seed)] = example.shots
        return cv2.imencode(".png", draw_frame(kind, height=600, width=800, seed=seed))[1].tobytes()
    from service.sample.dicom_objects import write_ultrasound

    size = {"height": 600, "width": 800} if len(example.shots) == 1 else {"height": 300, "width": 400}
    steps = range(1 if len(example.shots) == 1 else _LOOP_STEPS)
    frames = [draw_frame(kind, seed=seed, step=step, **size) for kind, seed in example.shots for step in steps]
    return write_ultrasound(frames, example.name)
