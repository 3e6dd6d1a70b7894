"""A study of a DICOMweb archive: fetched object by object (WADO-RS), the results stored beside it (STOW-RS)."""

import io
import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient

from service.errors import NotFound
from service.imaging.dicom.header import SECONDARY_CAPTURE, ULTRASOUND
from service.imaging.dicom.scan import Data
from service.jobs.files import Upload
from service.reports.dicom import DicomObject

logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it logs addresses, and these hold UIDs

_AS_STORED = (("application/dicom", "*"),)  # rather than decompressed by the archive
_TIMEOUT_S = 60.0
_SOP_CLASS, _MODALITY, _SERIES, _INSTANCE = "00080016", "00080060", "0020000E", "00080018"


class ArchiveError(Exception):
    """The archive cannot be reached, or does not do what it is asked; the message says why."""


class DicomWebArchive:
    """A DICOMweb archive.

    Parameters
    ----------
    url
        Its base address, such as `http://127.0.0.1:8042/dicom-web`.
    token
        Sent as a bearer token, where the archive asks for one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        self._client = DICOMwebClient(url, headers=headers, timeout=_TIMEOUT_S)
        self._client.set_http_retry_params(max_attempts=3, wait_exponential_multiplier=200)

    def uploads(self, study: str) -> list[Upload]:
        """The ultrasound objects of a study, by their SOP Instance UIDs; their bytes are fetched when they are read.

        Raises
        ------
        ArchiveError
            The archive does not answer, or has no such study.
        """
        try:
            found = self._client.search_for_instances(study, fields=[_SOP_CLASS, _MODALITY])
        except (requests.RequestException, ValueError) as error:
            raise ArchiveError(f"the archive cannot be asked: {type(error).__name__}") from error
        if not found:
            raise ArchiveError("the archive has no such study")
        return list(self._of_interest(study, found))

    def store(self, result: DicomObject) -> str:
        """Store an object and return its SOP Instance UID; one that is there already stays.

        Raises
        ------
        ArchiveError
            The archive refuses it.
        """
        try:
            reply = self._client.store_instances([pydicom.dcmread(io.BytesIO(result.contents))])
        except (requests.RequestException, ValueError) as error:
            raise ArchiveError(f"the archive cannot store: {type(error).__name__}") from error
        if reply.get("FailedSOPSequence"):
            raise ArchiveError("the archive refused a result")
        return result.uid

    def _of_interest(self, study: str, found: list[dict[str, dict[str, Any]]]) -> Iterator[Upload]:
        for each in found:
            sop_class, series, instance = (_value(each, tag) for tag in (_SOP_CLASS, _SERIES, _INSTANCE))
            # A Secondary Capture of another modality may well be an overlay of an earlier run.
            capture = sop_class in SECONDARY_CAPTURE and _value(each, _MODALITY) == "US"
            if sop_class in ULTRASOUND or capture:
                yield Upload(instance, partial(self._fetch, study, series, instance))

    def _fetch(self, study: str, series: str, instance: str) -> Data:
        try:
            found = self._client.retrieve_instance(study, series, instance, media_types=_AS_STORED)
        except (requests.RequestException, ValueError) as error:
            raise NotFound("The archive does not hand out the object.") from error
        buffer = io.BytesIO()
        found.save_as(buffer)
        return buffer.getvalue()


def _value(found: dict[str, dict[str, Any]], tag: str) -> str:
    values = found.get(tag, {}).get("Value", [""])
    return str(values[0])
