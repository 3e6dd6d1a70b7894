"""The methods of the clients for the store of corrections."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

from fetal_planes_client.messages import ClientRequest, frame_request
from fetal_planes_client.types.corrections import (
    CorrectionsPage,
    ErasedCorrections,
    KeptCorrections,
    KeptFrame,
    NewCorrection,
    NewCorrections,
)
from fetal_planes_client.uploads import Upload

T = TypeVar("T")


class CorrectionMethods(ABC):
    """Keep, list and erase what people say about answers. Every method raises `RefusedError`."""

    def correct(self, corrections: Iterable[NewCorrection]) -> KeptCorrections:
        """Keep corrections, at most 1,000 at once: all of them or none. The last one of a frame counts."""
        body = NewCorrections(corrections=list(corrections)).model_dump_json()
        request = ClientRequest("POST", "corrections", {}, body.encode(), content_type="application/json")
        return self._read(request, KeptCorrections.model_validate_json)

    def corrections(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        latest: bool = False,
        study: str | None = None,
        patient: str | None = None,
    ) -> CorrectionsPage:
        """Return a page of corrections; `after` is `next` of the page before.

        Parameters
        ----------
        after, limit
            The page begins after this id, and has at most this number of corrections.
        latest
            Only the last correction of each frame, which counts.
        study, patient
            Only those of a study or a patient: the identifier as it was sent, or its keyed hash.
        """
        params = {"after": after, "limit": limit, "latest": latest, "study": study, "patient": patient}
        return self._read(ClientRequest("GET", "corrections", params), CorrectionsPage.model_validate_json)

    def erase_corrections(self, *, study: str | None = None, patient: str | None = None) -> ErasedCorrections:
        """Delete all corrections of a study or a patient, those of the same files, and their kept frames."""
        params = {"study": study, "patient": patient}
        return self._read(ClientRequest("DELETE", "corrections", params), ErasedCorrections.model_validate_json)

    def keep_frame(self, correction: int, file: Upload) -> KeptFrame:
        """Keep the sector of a corrected frame, where the operator allows it; `file` is the file of the correction."""
        return self._read(frame_request(f"corrections/{correction}/frame", file), KeptFrame.model_validate_json)

    @abstractmethod
    def _read(self, request: ClientRequest, read: Callable[[bytes], T]) -> T:
        """Send a request, and return what `read` makes of the answer's body."""
