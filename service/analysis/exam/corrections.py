"""Count the frames of an exam as a person says. `service/web/review.js` follows the same rules."""

from typing import NamedTuple

from service.analysis.text import GUESSES
from service.schemas.answers import SubPlane
from service.schemas.batch import FrameAnswer
from service.schemas.corrections import Verdict
from service.schemas.exam import ExamCorrection, ExamFrame, FrameWithoutPlane
from service.schemas.manifest import Plane


class Statement(NamedTuple):
    """What a person says of a frame: its plane, None for none of the model, and its sub-plane, None for none."""

    plane: Plane | None
    sub_plane: Plane | None = None


def corrected_frame(answer: FrameAnswer, plane: Plane, sub_plane: Plane | None) -> ExamFrame:
    """Return the frame with the plane that a person names; its probability is what the model gave for this plane."""
    correction = _correction(answer, plane, sub_plane)
    same = correction.verdict == "accepted"
    given = SubPlane(plane=sub_plane.id, label=sub_plane.label, probability=1) if sub_plane is not None else None
    probabilities = {each.plane: each.probability for each in answer.predictions}
    return ExamFrame(
        source=answer.source,
        plane=plane.id,
        label=plane.label,
        probability=probabilities.get(plane.id, 0.0),
        runner_up=None,
        sub_plane=answer.sub_plane if same else given,
        sub_plane_reason=answer.sub_plane_reason if same else None,
        seconds=answer.frame.seconds,
        correction=correction,
    )


def frame_without_plane(answer: FrameAnswer) -> FrameWithoutPlane:
    """Return the frame that shows no plane of the model, as a person says."""
    return FrameWithoutPlane(source=answer.source, correction=_correction(answer, None, None))


def _correction(answer: FrameAnswer, plane: Plane | None, sub_plane: Plane | None) -> ExamCorrection:
    first = answer.predictions[0]
    named = answer.abstain_reason is None or answer.abstain_reason in GUESSES  # or guessed
    return ExamCorrection(
        verdict=_verdict(answer, first.plane if named else None, plane, sub_plane),
        plane=first.plane if named else None,
        label=first.label if named else None,
        probability=first.probability if named else None,
        abstain_reason=answer.abstain_reason,
        sub_plane=answer.sub_plane,
    )


def _verdict(answer: FrameAnswer, named: str | None, plane: Plane | None, sub_plane: Plane | None) -> Verdict:
    if plane is None:
        return "accepted" if named is None else "rejected"
    own = answer.sub_plane.plane if answer.sub_plane is not None else None
    same = named == plane.id and own == (sub_plane.id if sub_plane is not None else None)
    return "accepted" if same else "supplemented"
