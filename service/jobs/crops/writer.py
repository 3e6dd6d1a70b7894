"""Write the sector of each frame that the model names: `plane/patient/frame.png`, as `fetal-planes-build` reads it."""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from service.analysis.results import FrameResult
from service.imaging.letterbox import PreparedFrame
from service.jobs import JobError
from service.jobs.crops.sector_mask import sector_png
from service.jobs.files import SourceFile
from service.jobs.outputs import write_whole
from service.reports.patient_key import patient_key

_CHARACTERS = 20  # of a name: 80 bits


@dataclass(frozen=True, slots=True)
class CropWriter:
    """Writes crops below a folder; names are keyed hashes, which nobody without the key can connect with a patient."""

    folder: Path
    key: bytes

    def write(self, file: SourceFile, frame: PreparedFrame, result: FrameResult) -> None:
        """Write the crop of a frame that has its whole picture. Raises `JobError`.

        Writes nothing where the model abstained or no sector is found.
        """
        if result.abstain_reason is not None or frame.picture is None:
            return
        png = sector_png(frame.picture, result.crop)
        if png is None:
            return
        # A picture states no patient: the frames of a folder count as one patient's.
        patient = patient_key(result.frame, self.key.hex()) or self._hash(
            "folder", str(PurePosixPath(file.name).parent)
        )
        name = self._hash(patient, file.sha256() or file.name, str(frame.metadata.index))
        path = self.folder / result.ranked[0].plane / patient / f"{name}.png"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, png)
        except OSError as error:
            raise JobError(f"{self.folder} cannot be written: {error.strerror}") from error

    def _hash(self, *parts: str) -> str:
        return hmac.new(self.key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:_CHARACTERS]
