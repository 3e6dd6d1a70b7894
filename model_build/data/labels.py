"""The planes and sub-planes of FETAL_PLANES_DB, in the order of the model's outputs."""

from collections.abc import Sequence

from service.schemas.manifest import Plane

PLANES = (
    Plane(id="fetal_abdomen", label="Fetal abdomen"),
    Plane(id="fetal_brain", label="Fetal brain"),
    Plane(id="fetal_femur", label="Fetal femur"),
    Plane(id="fetal_thorax", label="Fetal thorax"),
    Plane(id="maternal_cervix", label="Maternal cervix"),
    Plane(id="other", label="Other"),
)

MAIN_PLANES = tuple(plane.id for plane in PLANES[:4])
"""Ids of the planes with enough test frames for a rate with a useful interval."""

SUB_PLANES_OF = "fetal_brain"
SUB_PLANES = (
    Plane(id="trans_thalamic", label="Trans-thalamic"),
    Plane(id="trans_cerebellum", label="Trans-cerebellum"),
    Plane(id="trans_ventricular", label="Trans-ventricular"),
)


def main_planes(plane_ids: Sequence[str]) -> tuple[int, ...]:
    """Return the class numbers of the main planes; none where `plane_ids` lacks one of them or holds nothing else."""
    return tuple(plane_ids.index(plane) for plane in MAIN_PLANES) if set(MAIN_PLANES) < set(plane_ids) else ()
