"""A study in a DICOMweb archive: objects are fetched one by one (WADO-RS), results are stored next to them (STOW-RS).

The three services are those of DICOM PS3.18: QIDO-RS searches, WADO-RS retrieves, STOW-RS stores.
"""

import io
import logging
from functools import partial
from typing import Any

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient

from service.errors import NotFound
from service.imaging.dicom.header import SECONDARY_CAPTURE, ULTRASOUND
from service.imaging.dicom.scan import Data
from service.jobs import JobError
from service.jobs.files import SourceFile
from service.reports.dicom import DicomObject

_AS_STORED = (("application/dicom", "*"),)  # in the stored transfer syntax: the archive must not decompress
_SOP_CLASS, _MODALITY, _SERIES, _INSTANCE = "00080016", "00080060", "0020000E", "00080018"


class DicomWebArchive:
    """A DICOMweb archive at a base address such as `http://127.0.0.1:8042/dicom-web`; `token` is a bearer token."""

    def __init__(self, url: str, token: str | None = None) -> None:
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it logs addresses, which contain UIDs
        headers = {"Authorization": f"Bearer {token}"} if token else None
        self._client = DICOMwebClient(url, headers=headers, timeout=60.0)
        self._client.set_http_retry_params(max_attempts=3, wait_exponential_multiplier=200)

    def files(self, study: str) -> list[SourceFile]:
        """Return the ultrasound objects of a study, named by SOP Instance UID; each is fetched when it is first read.

        Raises `JobError` if the archive does not answer, or has no such study.
        """
        try:
            found = self._client.search_for_instances(study, fields=[_SOP_CLASS, _MODALITY])
        except (requests.RequestException, ValueError) as error:
            raise JobError(f"the archive does not answer the search: {type(error).__name__}") from error
        if not found:
            raise JobError("the archive has no such study")
        files = []
        for each in found:
            sop_class, series, instance = (_value(each, tag) for tag in (_SOP_CLASS, _SERIES, _INSTANCE))
            # A Secondary Capture of another modality may be an overlay that an earlier run stored.
            capture = sop_class in SECONDARY_CAPTURE and _value(each, _MODALITY) == "US"
            if sop_class in ULTRASOUND or capture:
                files.append(SourceFile(instance, partial(self._fetch, study, series, instance)))
        return files

    def store(self, result: DicomObject) -> str:
        """Store an object and return its SOP Instance UID; the archive keeps an object that it already has.

        Raises `JobError` if the archive refuses it.
        """
        try:
            reply = self._client.store_instances([pydicom.dcmread(io.BytesIO(result.contents))])
        except (requests.RequestException, ValueError) as error:
            raise JobError(f"the archive cannot store: {type(error).__name__}") from error
        if reply.get("FailedSOPSequence"):
            raise JobError("the archive refused a result")
        return result.uid

    def _fetch(self, study: str, series: str, instance: str) -> Data:
        try:
            found = self._client.retrieve_instance(study, series, instance, media_types=_AS_STORED)
        except (requests.RequestException, ValueError) as error:
            raise NotFound("The archive does not return the object.") from error
        buffer = io.BytesIO()
        found.save_as(buffer)
        return buffer.getvalue()


def _value(found: dict[str, dict[str, Any]], tag: str) -> str:
    return str(found.get(tag, {}).get("Value", [""])[0])
