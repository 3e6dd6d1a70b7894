"""The head that distinguishes the sub-planes of one plane, from outputs of the classifier."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from service.inference.package import ModelPackage, PackageError
from service.inference.session import Floats, open_session, run_session
from service.schemas.manifest import SubPlanes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class SubPlaneHead:
    """The sub-plane graph of a package, ready to run."""

    def __init__(self, described: SubPlanes, plane: int, session: "InferenceSession") -> None:
        self.plane = plane  # number of the plane whose sub-planes it distinguishes
        self.inputs = [node.name for node in session.get_inputs()]  # names of the outputs of the classifier
        self._described = described
        self._session = session

    @classmethod
    def of(cls, package: ModelPackage, classifier: "InferenceSession") -> Self | None:
        """Return the head of a package, or None where it has none; raises PackageError where the graph does not fit."""
        described, planes = package.manifest.sub_planes, [plane.id for plane in package.manifest.planes]
        if described is None or package.sub_planes is None:
            return None
        head = cls(described, planes.index(described.plane), open_session(package.sub_planes, described.file))
        given = {node.name for node in classifier.get_outputs()}
        if not head.inputs or not set(head.inputs) <= given:
            raise PackageError(f"{described.file} must take outputs of the classifier: {', '.join(sorted(given))}")
        shapes = {node.name: node.shape for node in head._session.get_outputs()}
        count = len(described.sub_planes)
        if shapes.get("probabilities", [])[1:] != [count]:
            raise PackageError(f"{described.file} must return `probabilities` of {count} sub-planes")
        return head

    def probabilities(self, outputs: Mapping[str, Floats]) -> Floats:
        """Return calibrated probabilities float32 [M], from the classifier's outputs for one frame."""
        inputs = {name: outputs[name] for name in self.inputs}
        found: Floats = run_session(self._session, ["probabilities"], inputs)[0][0]
        return found

    def warm_up(self, outputs: Mapping[str, Floats]) -> None:
        """Run once; raises PackageError where the output does not sum to 1."""
        found = self.probabilities(outputs)
        if not abs(float(found.sum()) - 1) < 1e-3:  # written so that a NaN fails as well
            raise PackageError(f"{self._described.file} does not return probabilities that sum to 1")
