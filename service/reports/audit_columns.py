"""The columns that an audit groups exams by: keyed hashes of study, patient and operator; machine, site and month."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import Field

from service.imaging.frame import FrameMetadata
from service.reports.element_values import element_values, text_of
from service.schemas import Schema
from service.site_secret import SiteSecret

_TAGS = {
    "StudyDate": 0x0008_0020,
    "InstitutionName": 0x0008_0080,
    "StationName": 0x0008_1010,
    "OperatorsName": 0x0008_1070,
    "ManufacturerModelName": 0x0008_1090,
    "PatientID": 0x0010_0020,
    "DeviceSerialNumber": 0x0018_1000,
    "StudyInstanceUID": 0x0020_000D,
}
_MAX_MODEL = 64  # characters of a machine's model
_SERIAL = 8  # characters of the keyed hash that tells machines of one model apart
_MONTH = re.compile(r"(\d{4})\.?(0[1-9]|1[0-2])")


class AuditColumns(Schema):
    """Where a frame comes from, without naming a person."""

    study: str = Field(description="Keyed hash of the Study Instance UID; of the folder where the file states none.")
    patient: str | None = Field(description="Keyed hash of the Patient ID.")
    operator: str | None = Field(description="Keyed hash of the Operators' Name.")
    machine: str | None = Field(
        description="Manufacturer's Model Name, and a keyed hash of the Device Serial Number or the Station Name."
    )
    site: str | None = Field(description="What `--site` says; otherwise a keyed hash of the Institution Name.")
    month: str | None = Field(description="Year and month of the Study Date.")
    ood_score: float | None = Field(default=None, description="Distance from the training frames.")


@dataclass(frozen=True, slots=True)
class AuditKey:
    """Makes the columns; without its secret, nobody can connect them with a person."""

    secret: SiteSecret
    site: str | None = None

    @property
    def fingerprint(self) -> str:
        """What tells secrets and sites apart, and nothing about a secret: rows of two must not share a folder."""
        return " ".join(filter(None, (self.secret.hash("fingerprint", "")[:16], self.site)))

    def columns(self, frame: FrameMetadata, file: str, ood_score: float | None) -> AuditColumns:
        """Return the columns of a frame of a file, named by its path below the source."""
        values = _Values(frame)
        folder = str(PurePosixPath(file).parent)
        patient, institution, operator = map(values.text, ("PatientID", "InstitutionName", "OperatorsName"))
        return AuditColumns(
            study=self.secret.hash("study", values.text("StudyInstanceUID") or f"folder {folder}"),
            patient=self.secret.hash("patient", patient) if patient else None,
            operator=operator_hash(self.secret, operator) if operator else None,
            machine=self._machine(values),
            site=self.site or (f"site {self.secret.hash('site', institution)[:_SERIAL]}" if institution else None),
            month=_month(values.text("StudyDate")),
            ood_score=ood_score,
        )

    def _machine(self, values: "_Values") -> str | None:
        model = "".join(each for each in values.text("ManufacturerModelName") if each.isprintable())[:_MAX_MODEL]
        serial = values.text("DeviceSerialNumber") or values.text("StationName")
        if not model and not serial:
            return None
        return " ".join(filter(None, (model, serial and f"#{self.secret.hash('machine', serial)[:_SERIAL]}")))


def operator_hash(secret: SiteSecret, name: str) -> str:
    """Return the keyed hash of an operator; case, and empty parts of a DICOM name, do not count."""
    return secret.hash("operator", name.strip(" ^\0").upper())


def _month(date: str) -> str | None:
    found = _MONTH.match(date)
    return f"{found[1]}-{found[2]}" if found else None


class _Values:
    """The texts of a frame's DICOM attributes; empty for another file."""

    def __init__(self, frame: FrameMetadata) -> None:
        self._values = element_values(frame)

    def text(self, keyword: str) -> str:
        return text_of(self._values.get(_TAGS[keyword], b"").partition(b"\\")[0].strip(b" \0"))
