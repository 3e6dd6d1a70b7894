"""The store: keeps, lists and erases corrections, and the frames that belong to them."""

import logging
import re
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_

from service.errors import NoStore, NotFound, StoreFull, StoreUnavailable
from service.schemas.corrections import Correction, NewCorrection
from service.site_secret import Identifier, SiteSecret
from service.store.database import Database
from service.store.frames import FrameFolder, FramePlace
from service.store.rows import list_rows, row_of, to_correction
from service.store.selection import Selection
from service.store.tables import corrections, kept_frames
from service.store.threads import StoreThreads

_LOG = logging.getLogger("fetal_planes.store")
_EXPIRE_EVERY_S = 3600
_HASH = re.compile("[0-9a-f]{64}")


class Store:
    """Every method but `start` and `close` waits for the database: call it through `run`, never on an event loop."""

    def __init__(
        self, database: Database, secret: SiteSecret, retention: timedelta | None, frames: FrameFolder | None
    ) -> None:
        self.frames = frames
        self.database = database
        self._secret = secret
        self._retention = retention
        self._threads = StoreThreads()
        self.run = self._threads.run
        self._expire_lock = threading.Lock()
        self._expire_at = 0.0

    def start(self) -> None:
        """Bring the tables up to date and delete what is too old, in a thread. A database that is down can wait."""
        self._expire_if_due()

    def close(self) -> None:
        """Finish the work in progress and close the connections."""
        self._threads.close()
        self.database.close()

    def add(self, new: Sequence[NewCorrection], who: str | None) -> list[int]:
        """Keep corrections, all or none; return their ids in the same order."""
        at = datetime.now(UTC)
        rows = [
            row_of(each, self._hash("study", each.study), self._hash("patient", each.patient)) | {"at": at, "who": who}
            for each in new
        ]
        statement = insert(corrections).returning(corrections.c.id, sort_by_parameter_order=True)
        with self.database.write() as connection:
            ids = [int(number) for number in connection.execute(statement, rows).scalars()]
        self._expire_if_due()
        return ids

    def page(self, selection: Selection) -> tuple[list[Correction], int | None]:
        """Return corrections in the order of their ids, and after which id the next page begins, if there is one."""
        conditions = [corrections.c.id > selection.after, *self._subject(selection.study, selection.patient)]
        if self._retention is not None:  # what is too old is gone, also before it is deleted
            conditions.append(corrections.c.at >= datetime.now(UTC) - self._retention)
        statement = list_rows(conditions, selection.limit + 1, latest=selection.latest)
        with self.database.read() as connection:
            found = [to_correction(row) for row in connection.execute(statement).mappings()]
        self._expire_if_due()
        page = found[: selection.limit]
        return page, page[-1].id if len(found) > len(page) else None

    def erase(self, study: str | None, patient: str | None) -> tuple[int, int]:
        """Delete every correction of a study or of a patient, with those of the same files, and their frames.

        Return the number of corrections and of frames. The identifier may be its keyed hash.
        """
        conditions = self._subject(study, patient)
        if not conditions:
            raise ValueError("neither a study nor a patient is named")
        with self.database.write() as connection:
            files = select(corrections.c.digest).where(*conditions)
            counts = self._delete(connection, [corrections.c.digest.in_(files)])
        self.database.purge()
        return counts

    def place(self, number: int) -> FramePlace:
        """Return the frame of a correction. Raises `NotFound`, and `NoStore` where frames are not kept."""
        if self.frames is None:
            raise NoStore("This service keeps no frames: its operator has not set `FETAL_PLANES_STORE_FRAMES`.")
        statement = select(corrections.c.digest, corrections.c.frame).where(corrections.c.id == number)
        with self.database.read() as connection:
            found = connection.execute(statement).first()
        if found is None:
            raise NotFound("No correction has this id.")
        return FramePlace(*found)

    def keep_frame(self, place: FramePlace, png: bytes) -> None:
        """Keep the picture of a frame that has a correction. Raises `StoreFull` and `NotFound`."""
        if self.frames is None:
            raise NoStore(NoStore.meaning)
        is_place = (kept_frames.c.digest == place.digest, kept_frames.c.frame == place.frame)
        with self.database.write() as connection:
            wanted = select(corrections.c.id).where(corrections.c.digest == place.digest).limit(1)
            if connection.execute(wanted).first() is None:
                raise NotFound("The correction was erased meanwhile.")
            connection.execute(delete(kept_frames).where(*is_place))
            used = connection.execute(select(func.coalesce(func.sum(kept_frames.c.size), 0))).scalar_one()
            if int(used) + len(png) > self.frames.quota:
                raise StoreFull(StoreFull.meaning)
            connection.execute(insert(kept_frames).values(**place._asdict(), size=len(png)))
            try:
                self.frames.write(place, png)  # before the commit: no row without its file
            except OSError as error:
                _LOG.error("a frame cannot be kept", extra={"reason": error.strerror})
                raise StoreFull(StoreFull.meaning) from None

    def expire(self) -> tuple[int, int]:
        """Delete what is older than the retention, and files that belong to nothing; return how many of each."""
        counts = 0, 0
        with self.database.write() as connection:
            if self._retention is not None:
                counts = self._delete(connection, [corrections.c.at < datetime.now(UTC) - self._retention])
            if self.frames is not None:
                self._tidy(connection, self.frames)
        self.database.purge()  # also what an erasure could not, because somebody read meanwhile
        if counts[0]:
            _LOG.info("deleted what was too old", extra={"corrections": counts[0], "frames": counts[1]})
        return counts

    def _expire_if_due(self) -> None:
        """Start `expire` at most once an hour, in a thread: no request waits for it."""
        with self._expire_lock:
            if monotonic() < self._expire_at:
                return
            self._expire_at = monotonic() + _EXPIRE_EVERY_S
        self._threads.submit(self._try_to_expire)

    def _try_to_expire(self) -> None:
        try:
            self.expire()
        except StoreUnavailable:
            self._expire_at = 0.0  # at the next request
        except OSError as error:
            _LOG.warning("kept frames cannot be deleted", extra={"reason": error.strerror})

    def _delete(self, connection: Connection, conditions: Iterable[ColumnElement[bool]]) -> tuple[int, int]:
        """Delete corrections, and the frames that belong to no other correction."""
        gone = connection.execute(delete(corrections).where(*conditions)).rowcount
        kept = select(corrections.c.digest, corrections.c.frame)
        alone = tuple_(kept_frames.c.digest, kept_frames.c.frame).not_in(kept)
        places = [
            FramePlace(*row)
            for row in connection.execute(select(kept_frames.c.digest, kept_frames.c.frame).where(alone))
        ]
        if self.frames is not None:
            self.frames.delete(places)  # before the commit: what is reported as deleted is
        connection.execute(delete(kept_frames).where(alone))
        return gone, len(places)

    def _tidy(self, connection: Connection, folder: FrameFolder) -> None:
        """Count the frames that a process wrote before it was killed, and delete those without a correction."""
        folder.delete_drafts()
        known = {FramePlace(*row) for row in connection.execute(select(kept_frames.c.digest, kept_frames.c.frame))}
        for place, size in folder.sizes().items():
            if place in known:
                continue
            wanted = select(corrections.c.id).where(
                corrections.c.digest == place.digest, corrections.c.frame == place.frame
            )
            if connection.execute(wanted.limit(1)).first() is None:
                folder.delete([place])
            else:
                connection.execute(insert(kept_frames).values(**place._asdict(), size=size))

    def _subject(self, study: str | None, patient: str | None) -> list[ColumnElement[bool]]:
        """Return the condition that a correction is about a study and a patient, each given as such or as its hash."""
        conditions: list[ColumnElement[bool]] = []
        if study is not None:
            conditions.append(corrections.c.study.in_(self._hashes("study", study)))
        if patient is not None:
            conditions.append(corrections.c.patient.in_(self._hashes("patient", patient)))
        return conditions

    def _hashes(self, kind: Identifier, value: str) -> list[str]:
        """Return the hashes that a value can mean: that of the identifier, and the value where it is a hash."""
        return [self._secret.hash(kind, value), *([value] if _HASH.fullmatch(value) else [])]

    def _hash(self, kind: Identifier, value: str | None) -> str | None:
        return None if value is None else self._secret.hash(kind, value)
