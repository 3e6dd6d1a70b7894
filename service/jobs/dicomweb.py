"""A study in a DICOMweb archive: objects are fetched one by one (WADO-RS), results are stored next to them (STOW-RS).

The three services are those of DICOM PS3.18: QIDO-RS searches, WADO-RS retrieves, STOW-RS stores.
"""

import io
import logging
import os
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import UID
from retrying import RetryError

from service.errors import NotFound
from service.imaging.dicom.header import SECONDARY_CAPTURE, ULTRASOUND
from service.jobs import JobError, StoreError, StoreRefused
from service.jobs.files import SourceFile
from service.jobs.rows import SkippedFile
from service.reports.dicom import DicomObject

_AS_STORED = (("application/dicom", "*"),)  # in the stored transfer syntax: the archive must not decompress
_SOP_CLASS, _MODALITY, _SERIES, _INSTANCE = "00080016", "00080060", "0020000E", "00080018"
_MORE = "additional results"  # the words of the header Warning where a search has more results (PS3.18, 8.3.4.4)
_ERRORS = (requests.RequestException, RetryError, ValueError)
_NO_OFFSET = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_IMPLEMENTED}  # from an archive that refuses the parameter
_REFUSALS = {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}  # for the object itself
_HAS_IT = 0x0111  # Duplicate SOP Instance (PS3.7, C.5.3)

_Found = dict[str, dict[str, Any]]


class StudyContents(NamedTuple):
    """The objects of a study: those to read, those that are skipped, and whether the archive listed them all."""

    files: list[SourceFile]
    skipped: list[SkippedFile]
    complete: bool


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Session(requests.Session):
    """Sends explicit credentials, and those of `.netrc` only where it has none.

    `requests` prefers `.netrc` over a header, over the URL, and over everything after a redirect.
    """

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Remove the credentials from a request that a redirect leads to another host."""
        if self.auth is None:
            super().rebuild_auth(prepared_request, response)
        elif self.should_strip_auth(str(response.request.url), str(prepared_request.url)):
            prepared_request.headers.pop("Authorization", None)


class DicomWebArchive:
    """A DICOMweb archive at a base address such as `http://127.0.0.1:8042/dicom-web`; `token` is a bearer token.

    Raises `JobError` if the address is none.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it logs addresses, which contain UIDs
        if (bundle := os.environ.get("REQUESTS_CA_BUNDLE")) and not Path(bundle).exists():
            raise JobError(f"the CA certificates {bundle} do not exist")
        session, login = _Session(), requests.utils.get_auth_from_url(url)
        session.auth = _Bearer(token) if token else login if any(login) else None
        self._warning = ""
        try:
            self._client = DICOMwebClient(url, session=session, callback=self._note_warning, timeout=60.0)
        except (TypeError, ValueError) as error:
            raise JobError(f"{url} is not the address of an archive") from error
        self._client.set_http_retry_params(max_attempts=3, wait_exponential_multiplier=200)

    def contents(self, study: str) -> StudyContents:
        """Return the objects of a study, named by SOP Instance UID; each file is fetched when it is first read.

        Raises `JobError` if the archive does not answer, or has no such study.
        """
        found, complete = self._search(study)
        if not found:
            raise JobError("the archive has no such study")
        files, skipped = [], []
        for instance, each in found.items():
            sop_class, series = _value(each, _SOP_CLASS), _value(each, _SERIES)
            # A Secondary Capture of another modality may be an overlay that an earlier run stored.
            capture = sop_class in SECONDARY_CAPTURE and _value(each, _MODALITY) == "US"
            if sop_class in ULTRASOUND or capture:
                files.append(SourceFile(instance, partial(self._fetch, study, series, instance)))
            else:
                skipped.append(SkippedFile(file=instance, reason=f"not ultrasound: {UID(sop_class).name}"))
        if not files:
            raise JobError(f"the study has no ultrasound objects, only {len(skipped)} others")
        return StudyContents(files, skipped, complete)

    def _search(self, study: str) -> tuple[dict[str, _Found], bool]:
        """Return the entries of a study by SOP Instance UID, and whether they are all."""
        found: dict[str, _Found] = {}
        more = False
        while True:
            # An archive may answer in parts. One that ignores `offset` repeats a part: nothing in it is new.
            try:
                page = self._search_from(study, len(found))
            except requests.HTTPError as error:
                if found and _status(error) in _NO_OFFSET:
                    return found, not more
                raise JobError(f"the archive refuses the search: {_reason(error)}") from error
            except _ERRORS as error:
                raise JobError(f"the archive does not answer the search: {_reason(error)}") from error
            new = {instance: each for each in page if (instance := _value(each, _INSTANCE)) and instance not in found}
            if not new:
                return found, not (page and more)
            found |= new
            more = _MORE in self._warning

    def _search_from(self, study: str, offset: int) -> list[_Found]:
        self._warning = ""
        fields = [_SOP_CLASS, _MODALITY]
        page = self._client.search_for_instances(study, fields=fields, offset=offset or None)
        if not all(isinstance(each, dict) for each in page):
            raise ValueError("the answer is not a list of objects")
        return page

    def _note_warning(self, reply: requests.Response, *_: object, **__: object) -> None:
        self._warning = reply.headers.get("Warning", "")

    def store(self, result: DicomObject) -> str:
        """Store an object and return its SOP Instance UID; the archive keeps an object that it already has.

        Raises `StoreError` if the archive cannot store it, `StoreRefused` if it does not want it.
        """
        try:
            reply = self._client.store_instances([pydicom.dcmread(io.BytesIO(result.contents))])
        except _ERRORS as error:
            kind = StoreRefused if _status(error) in _REFUSALS else StoreError
            raise kind(f"The archive cannot store the object: {_reason(error)}.") from error
        failed = reply.get("FailedSOPSequence")
        if failed and any(each.get("FailureReason") != _HAS_IT for each in failed):
            raise StoreRefused("The archive refused the object.")
        return result.uid

    def _fetch(self, study: str, series: str, instance: str) -> bytes:
        try:
            found = self._client.retrieve_instance(study, series, instance, media_types=_AS_STORED)
            buffer = io.BytesIO()
            found.save_as(buffer)
            return buffer.getvalue()
        except Exception as error:  # also what pydicom raises where the reply holds no object
            raise NotFound(f"The archive does not return the object: {_reason(error)}.") from error


def _value(found: _Found, tag: str) -> str:
    values = found.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _status(error: Exception) -> int | None:
    response = error.last_attempt.value if isinstance(error, RetryError) else getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _reason(error: Exception) -> str:
    """Return the HTTP status of an error; without one its kind, because its text quotes addresses with UIDs."""
    status = _status(error)
    if status is None:
        return type(error).__name__
    return f"{status} {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else str(status)
