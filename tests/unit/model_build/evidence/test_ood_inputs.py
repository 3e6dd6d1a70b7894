import numpy as np

from model_build.evidence.ood_inputs import ood_inputs


def test_every_kind_has_gray_frames_and_the_same_seed_gives_the_same_ones() -> None:
    inputs, again = ood_inputs(each=2), ood_inputs(each=2)
    assert {"blank", "noise", "text page", "photograph", "other organ's ultrasound"} <= set(inputs)
    assert all(frames for frames in inputs.values())
    assert all(frame.dtype == np.uint8 and frame.ndim == 2 for frames in inputs.values() for frame in frames)
    assert all(np.array_equal(a, b) for a, b in zip(inputs["noise"], again["noise"], strict=True))
