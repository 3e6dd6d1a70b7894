from pathlib import Path

import numpy as np
import pytest

from model_build.evaluation.plots import draw_confusion, plot_label
from service.schemas.manifest import Plane


@pytest.mark.parametrize(
    ("label", "expected"),
    [("Schädel, мозг", "Schädel, мозг"), ("胎儿头部", "head"), ("a $b_{ c$", r"a \$b_{ c\$"), ("a\U0001f9e0", "head")],
)
def test_a_label_of_any_script_can_be_drawn(tmp_path: Path, label: str, expected: str) -> None:
    drawn = plot_label(Plane(id="head", label=label))
    assert drawn == expected
    draw_confusion(np.eye(2, dtype=np.int64), [drawn, "b"], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 1000
