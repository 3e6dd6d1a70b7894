"""A phantom package with a sub-plane head."""

from tests.support.images import speckle
from tests.support.phantom_package import PLANES, Phantom

NAMES = ("trans_thalamic", "trans_cerebellum", "trans_ventricular")
BEST = PLANES[int(Phantom().probabilities(speckle(64, 64)).argmax())]
"""The phantom's most probable plane of `speckle(64, 64)`."""


def sub_plane_phantom(**changes: object) -> Phantom:
    """Return a phantom whose head distinguishes `NAMES`, the sub-planes of `BEST`."""
    return Phantom(sub_planes=NAMES, sub_planes_of=BEST, **changes)  # type: ignore[arg-type]
