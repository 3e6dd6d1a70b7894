"""The spool: acknowledged objects and undelivered results on the disk, bounded, for the owner only.

File names are keyed hashes of UIDs: they tell nothing about a patient, and nobody without the spool's key can compare
them. What is in the files is as secret as the objects themselves; to encrypt them is the disk's business.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from time import time
from typing import Literal, NamedTuple

from service.disk import flush_folder, read_or_make_key, write_flushed
from service.imaging.dicom.dataset.values import Values, wanted
from service.imaging.dicom.scan import scan_layout
from service.imaging.files.local_file import LocalFile
from service.imaging.frame import DEFAULT_LIMITS
from service.jobs import JobError
from service.jobs.listener.incoming import Identity, Incoming
from service.jobs.listener.ledger import Delivery, Kind, Ledger, ObjectState, SpooledObject
from service.jobs.outputs import one_run

Acceptance = Literal["stored", "duplicate", "conflict", "full", "too-large"]

_LOG = logging.getLogger("fetal_planes.listener")
_INCOMING, _OBJECTS, _OUTBOX, _DEAD = "incoming", "objects", "outbox", "dead"
_KEY, _LEDGER = "key", "ledger.sqlite"
_REMEMBER_S = 30 * 86_400  # an object that comes again within this time is a duplicate
_MAX_UID = 64
_STUDY = wanted(("StudyInstanceUID",))


class Result(NamedTuple):
    """A result in the outbox: the name of its file, and where it goes."""

    name: str
    kind: Kind


class Spool:
    """A spool in a folder of its own.

    Raises `JobError` if the folder cannot be used, or another listener uses it.

    Attributes
    ----------
    max_bytes
        Bytes of objects, results and dead letters together, at which no further object is accepted.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._used, self._lock, self._accepting = 0, Lock(), Lock()
        self._unrecorded = set[str]()  # delivered results that the ledger does not know of yet
        with ExitStack() as stack:
            try:
                for each in (folder, *(folder / name for name in (_INCOMING, _OBJECTS, _OUTBOX, _DEAD))):
                    each.mkdir(mode=0o700, parents=True, exist_ok=True)
                    each.chmod(0o700)
                stack.enter_context(one_run(folder))
                self._key = read_or_make_key(folder / _KEY, folder / _INCOMING)
                os.close(os.open(folder / _LEDGER, os.O_RDWR | os.O_CREAT, 0o600))
                self.ledger = Ledger(folder / _LEDGER)
                stack.callback(self.ledger.close)
                self._recover()
            except (OSError, sqlite3.Error) as error:
                raise JobError(f"the spool {folder} cannot be used: {_reason(error)}") from error
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Free the folder for another listener."""
        self._closing.close()

    @property
    def used_bytes(self) -> int:
        """Bytes of objects, results and dead letters."""
        return self._used

    @property
    def dead_letters(self) -> int:
        """The number of results that were given up."""
        return len(list((self.folder / _DEAD).glob("*.reason.json")))

    def hash(self, text: str) -> str:
        """Return the keyed hash of a UID, for names and log lines."""
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]

    def begin(self, identity: Identity, max_bytes: int) -> Incoming:
        """Return a new file for an object that arrives."""
        return Incoming(self.folder / _INCOMING / secrets.token_hex(16), identity, max_bytes, self._reserve)

    def accept(self, incoming: Incoming) -> Acceptance:
        """Put a complete object into the spool; once this returns `stored`, no crash loses it."""
        incoming.finish()
        try:
            if incoming.refusal is not None:
                return incoming.refusal
            key, digest = self.hash(incoming.identity.instance), incoming.digest
            study = _read_study(incoming.path) or key
            with self._accepting:
                known = self.ledger.digest(key)
                if known is not None:
                    return "duplicate" if hmac.compare_digest(known, digest) else "conflict"
                self._move_in(incoming, SpooledObject(key, digest, incoming.identity.instance, study, 0, time()))
                return "stored"
        except (OSError, sqlite3.Error) as error:
            _LOG.error("the spool cannot be written", extra={"reason": _reason(error)})
            return "full"
        finally:
            incoming.discard()

    def object_path(self, key: str) -> Path:
        """Return where an object is."""
        return self.folder / _OBJECTS / f"{key}.dcm"

    def complete(self, keys: Sequence[str], results: Sequence[Result], state: ObjectState) -> None:
        """Put objects into another state, and their stored results among the deliveries, as one change.

        Objects that are done are deleted; the ledger remembers that they came.
        """
        with self.ledger.transaction():
            for result in results:
                self.ledger.plan(Delivery(result.name, result.kind, time()))
            self.ledger.move(keys, state)
        if state == "done":
            for key in keys:
                self._delete(self.object_path(key))

    def store_result(self, name: str, contents: bytes) -> None:
        """Write a result into the outbox, flushed to the disk; raises `OSError`. `complete` makes it a delivery."""
        path = self.result_path(name)
        before = path.stat().st_size if path.exists() else 0
        write_flushed(path, contents, self.folder / _INCOMING)
        self._reserve(len(contents) - before, force=True)

    def result_path(self, name: str) -> Path:
        """Return where a result is that waits for delivery."""
        return self.folder / _OUTBOX / name

    def discard_result(self, name: str) -> None:
        """Delete a stored result that nobody is to receive."""
        self._delete(self.result_path(name))

    def deliveries(self) -> list[Delivery]:
        """Return the results that wait for delivery, the one that is due first at the start."""
        for name in sorted(self._unrecorded):
            with suppress(sqlite3.Error):
                self.ledger.end_delivery(name)
                self._unrecorded.remove(name)
        return [each for each in self.ledger.deliveries() if each.name not in self._unrecorded]

    def end_delivery(self, delivery: Delivery) -> None:
        """Delete a delivered result. If the ledger has no room to note it, that waits, and the file makes the room."""
        try:
            self.ledger.end_delivery(delivery.name)
        except sqlite3.Error as error:
            _LOG.error("the spool cannot be written", extra={"reason": _reason(error)})
            self._unrecorded.add(delivery.name)
        self._delete(self.result_path(delivery.name))

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Make a result a dead letter: its file and the reason go into the folder `dead`."""
        folder = self.folder / _DEAD
        letter = {
            "reason": reason, "kind": delivery.kind, "attempts": delivery.attempts, "first_attempt": delivery.created,
            "given_up": time(),
        }  # fmt: skip
        with suppress(FileNotFoundError):
            self.result_path(delivery.name).rename(folder / delivery.name)
        note = json.dumps(letter, indent=2).encode() + b"\n"
        write_flushed(folder / f"{delivery.name}.reason.json", note, self.folder / _INCOMING)
        self._reserve(len(note), force=True)
        self.ledger.end_delivery(delivery.name)

    def forget_old(self) -> None:
        """Forget objects that came long ago."""
        self.ledger.forget(time() - _REMEMBER_S)

    def _move_in(self, incoming: Incoming, new: SpooledObject) -> None:
        """Move a file in and add it to the ledger; undo the first if the second fails."""
        path = self.object_path(new.key)
        incoming.path.rename(path)
        try:
            flush_folder(path.parent)
            self.ledger.add(new._replace(size=incoming.reserved))
        except BaseException:
            path.rename(incoming.path)
            raise
        incoming.reserved = 0  # the room is the object's now

    def _reserve(self, size: int, *, force: bool = False) -> bool:
        with self._lock:
            if size > 0 and not force and self._used + size > self.max_bytes:
                return False
            self._used += size
            return True

    def _delete(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self._reserve(-size)

    def _recover(self) -> None:
        """Delete what a killed listener had not acknowledged, and end what has lost its file."""
        objects = {f"{each.key}.dcm": each for each in self.ledger.objects("received", "analyzed")}
        deliveries = {each.name: each for each in self.ledger.deliveries()}
        for name, known in ((_INCOMING, set[str]()), (_OBJECTS, set(objects)), (_OUTBOX, set(deliveries))):
            for path in (self.folder / name).iterdir():
                if path.name not in known:
                    path.unlink()
        lost = [each.key for name, each in objects.items() if not (self.folder / _OBJECTS / name).exists()]
        if lost:
            _LOG.error("objects have disappeared from the spool", extra={"objects": len(lost)})
            self.ledger.move(lost, "done")
        for name in deliveries:
            if not self.result_path(name).exists():
                _LOG.error("a result has disappeared from the spool")
                self.ledger.end_delivery(name)
        files = (path for name in (_OBJECTS, _OUTBOX, _DEAD) for path in (self.folder / name).iterdir())
        self._used = sum(path.stat().st_size for path in files)


def _read_study(path: Path) -> str | None:
    """Return the Study Instance UID of an object; None where it has none that can be read."""
    try:
        layout = scan_layout(LocalFile(path).read(), DEFAULT_LIMITS.max_bytes, _STUDY)
        return Values(layout.walk, layout.elements).text("StudyInstanceUID")[:_MAX_UID] or None
    except Exception:  # hostile bytes can make a parser raise anything
        return None


def _reason(error: OSError | sqlite3.Error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
