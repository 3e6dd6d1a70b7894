"""A phantom package with a sub-plane head for the plane that it finds in `speckle(64, 64)`."""

from tests.support.images import speckle
from tests.support.phantom_package import PLANES, Phantom

NAMES = ("trans_thalamic", "trans_cerebellum", "trans_ventricular")
BEST = PLANES[int(Phantom().probabilities(speckle(64, 64)).argmax())]
"""The plane that the phantom finds in `speckle(64, 64)`."""


def finer_phantom(**changes: object) -> Phantom:
    """Return a phantom with a sub-plane head; `changes` are other fields of `Phantom`."""
    return Phantom(sub_planes=NAMES, sub_planes_of=BEST, **changes)  # type: ignore[arg-type]
