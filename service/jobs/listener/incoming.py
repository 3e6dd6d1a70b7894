"""An object on its way into the spool: its bytes go to the disk as they arrive."""

import errno
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from service import __version__
from service.disk import create

Refusal = Literal["full", "too-large"]

# Ours, of the UUID-derived root 2.25 (PS3.5, B.2).
IMPLEMENTATION_UID = UID("2.25.236098133612563416093407893478934512001")
IMPLEMENTATION_NAME = f"FETALPLANES {__version__}"[:16]
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


class Identity(NamedTuple):
    """What a sender says about an object before it sends it. The UID identifies a patient: never log it."""

    sop_class: str
    instance: str
    transfer_syntax: str


class Incoming:
    """A file that receives the data set of one object.

    Parameters
    ----------
    path
        A new file; it appears at the first byte, and `discard` deletes it.
    identity
        Goes into the file meta information.
    max_bytes
        Of the data set.
    reserve
        Reserves room in the spool for a number of bytes; returns whether there is room. A negative number frees it.

    Attributes
    ----------
    refusal
        Why the object cannot be kept; the rest of its bytes is then dropped. None while it can.
    size
        Bytes of the data set so far, dropped ones included.
    """

    def __init__(self, path: Path, identity: Identity, max_bytes: int, reserve: Callable[[int], bool]) -> None:
        self.path, self.identity = path, identity
        self.refusal: Refusal | None = None
        self.size = self.reserved = 0
        self._max_bytes, self._reserve = max_bytes, reserve
        # The same data set in another transfer syntax is another object; the file meta information does not count.
        self._hash = hashlib.sha256(f"{identity.sop_class}\0{identity.transfer_syntax}\0".encode())
        self._file: io.BufferedWriter | None = None

    @property
    def digest(self) -> str:
        """The hash of the data set and its encoding."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Take the next bytes; a reason not to keep them is noted in `refusal`."""
        self.size += len(data)
        if self.refusal is None and self.size > self._max_bytes:
            self._refuse("too-large")
        if self.refusal is not None:
            return
        self._hash.update(data)
        try:
            if self._file is None:
                self._open()
            self._keep(data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._refuse("full")

    def finish(self) -> None:
        """Flush the file to the disk and close it; see `refusal` afterwards."""
        if self.refusal is not None:
            return
        try:
            if self._file is None:  # an empty data set
                self._open()
            if self._file is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
        except OSError:
            self._refuse("full")

    def discard(self) -> None:
        """Delete the file and free its room."""
        file, self._file = self._file, None
        if file is not None:
            file.raw.close()  # without the bytes that a full disk did not take
        self.path.unlink(missing_ok=True)
        self._reserve(-self.reserved)
        self.reserved = 0

    def _open(self) -> None:
        self._file = os.fdopen(create(self.path), "wb")
        self._keep(_file_head(self.identity))

    def _keep(self, data: bytes) -> None:
        if self._reserve(len(data)):
            self.reserved += len(data)
        else:
            self._refuse("full")
        if self._file is not None:
            self._file.write(data)

    def _refuse(self, reason: Refusal) -> None:
        self.refusal = reason
        self.discard()


def _file_head(identity: Identity) -> bytes:
    """Return what a PS3.10 file has before its data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(identity.sop_class), UID(identity.instance)
    meta.TransferSyntaxUID = UID(identity.transfer_syntax)
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
    buffer = DicomBytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return bytes(buffer.getvalue())
