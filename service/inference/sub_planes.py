"""The head that tells the sub-planes of one plane apart, on what the classifier has computed of a frame."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from service.inference.package import ModelPackage, PackageError
from service.inference.session import open_session, run_session
from service.schemas.manifest import SubPlanes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]


class SubPlaneHead:
    """The sub-plane graph of a package, ready to run.

    Attributes
    ----------
    plane
        Number of the plane that it is for.
    needs
        Outputs of the classifier that it takes, by name.
    """

    def __init__(self, described: SubPlanes, plane: int, session: "InferenceSession") -> None:
        self.plane = plane
        self.needs = [node.name for node in session.get_inputs()]
        self._described = described
        self._session = session

    @classmethod
    def of(cls, package: ModelPackage, classifier: "InferenceSession") -> Self | None:
        """The head of a package, or None where it has none.

        Raises
        ------
        PackageError
            The graph cannot be loaded, asks for what the classifier does not give, or tells other sub-planes.
        """
        described, planes = package.manifest.sub_planes, [plane.id for plane in package.manifest.planes]
        if described is None or package.sub_planes is None:
            return None
        head = cls(described, planes.index(described.plane), open_session(package.sub_planes, described.file))
        given = {node.name for node in classifier.get_outputs()}
        if not head.needs or not set(head.needs) <= given:
            raise PackageError(f"{described.file} must take outputs of the classifier: {', '.join(sorted(given))}")
        shapes = {node.name: node.shape for node in head._session.get_outputs()}
        if shapes.get("probabilities", [])[1:] != [len(described.sub_planes)]:
            raise PackageError(f"{described.file} must give `probabilities` of {len(described.sub_planes)} sub-planes")
        return head

    def probabilities(self, outputs: Mapping[str, Floats]) -> Floats:
        """Calibrated probabilities float32 [M] from outputs of the classifier for one frame."""
        inputs = {name: outputs[name] for name in self.needs}
        found: Floats = run_session(self._session, ["probabilities"], inputs)[0][0]
        return found

    def warm_up(self, outputs: Mapping[str, Floats]) -> None:
        """Run once; raises PackageError where the answer is not one of probabilities."""
        found = self.probabilities(outputs)
        if not abs(float(found.sum()) - 1) < 1e-3:  # a NaN fails too
            raise PackageError(f"{self._described.file} does not answer with probabilities that sum to 1")
