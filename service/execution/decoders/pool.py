"""The decoder processes of a service or a job: one for each thread that asks, and a few that wait."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING

from service.errors import DecodeLimit, Overloaded, UnreadableFrame
from service.execution.decoders.arena import Taker
from service.execution.decoders.decoder import HAS_PROCESSES, Decoder, InProcessDecoder, check_system
from service.execution.decoders.fork_server import fork_server
from service.execution.decoders.limits import DecoderLimits
from service.execution.decoders.process import NO_UPLOAD, DecoderEnded, DecoderProcess
from service.execution.decoders.upload import OpenUpload
from service.execution.work import current_work, stage
from service.imaging.files.formats import detect_format
from service.imaging.files.local_file import Upload
from service.imaging.frame import Frame, Frames
from service.imaging.letterbox import Preparation, PreparedFrame

if TYPE_CHECKING:
    from service.observability.metrics import DecoderEnding

_LOG = logging.getLogger("fetal_planes.decoders")

_KILLED = (-signal.SIGKILL, -signal.SIGTERM)
_RECHECK_S = 0.2


class DecoderPool:
    """Decoder processes, forked when they are needed; several threads may use it at once.

    Parameters
    ----------
    limits
        Of each decoder.
    idle
        The number of decoders that are kept waiting for work.
    count_ending
        Called when a decoder ends that should not.
    """

    def __init__(
        self,
        limits: DecoderLimits,
        idle: int,
        count_ending: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.limits = limits
        self._large_lock = Lock()
        self._most_idle, self._count_ending = idle, count_ending
        self._idle: list[DecoderProcess] = []  # the one that worked last is at the end: its memory is warm
        self._closed = False
        self._spare: Thread | None = None  # forks a decoder
        self._changed = Lock()  # guards the three attributes above
        fork_server().start()

    def start(self) -> None:
        """Fork the decoders that wait for work."""
        decoders = [DecoderProcess(self.limits, self._large) for _ in range(self._most_idle)]
        with self._changed:
            self._idle += decoders

    def open(self, upload: Upload, index: int = 0) -> Frames[Frame]:
        """Open a file and decode frame `index`, without colors; the caller closes it.

        Raises what `service.imaging.decode.open_frames` raises, and `DecodeLimit`.
        """
        self._check(upload)
        return OpenUpload(upload, self, None, Taker.frame).open(index)

    def open_prepared(self, upload: Upload, preparation: Preparation, index: int = 0) -> Frames[PreparedFrame]:
        """Open a file and prepare frame `index`; otherwise as `open`."""
        self._check(upload)
        take = partial(Taker.prepared, preparation=preparation)
        return OpenUpload(upload, self, preparation, take).open(index)

    @contextmanager
    def use(self, upload: int) -> Iterator[DecoderProcess]:
        """Return a context with a decoder, preferably the one that has the upload with this number open.

        Raises
        ------
        WorkStopped
            The current work was stopped; its decoder is killed at once.
        DecodeLimit, UnreadableFrame
            The decoder ended on the file.
        """
        work = current_work()
        decoder = self._acquire(upload)
        try:
            with work.on_stop(lambda _: decoder.kill()):
                work.check()
                yield decoder
        except DecoderEnded as ended:
            decoder.close()
            ending: DecoderEnding = "stopped" if work.stopped else _ending(ended.status)
            self._count_ending(ending)
            work.check()
            if ending == "killed":
                raise
            if ending == "cpu-time":
                raise DecodeLimit(f"Decoding the frame takes more than {self.limits.cpu_s:g} s of CPU time.") from None
            raise UnreadableFrame("The file is damaged: it made its decoder crash.") from None
        except BaseException:
            decoder.close()  # a reply may be under way
            raise
        else:
            if decoder.out_of_memory:
                self._count_ending("memory")
            self._release(decoder)

    def forget(self, upload: int) -> None:
        """Free what a decoder holds of an upload that is closed."""
        spent: list[DecoderProcess] = []
        with self._changed:
            for each in [each for each in self._idle if each.upload == upload]:
                if each.spent:
                    self._idle.remove(each)
                    spent.append(each)
                else:
                    each.forget()
        for each in spent:
            each.close()

    def close(self) -> None:
        """End the idle decoders; those at work end with their frame."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    def _check(self, upload: Upload) -> None:
        """Refuse what needs no decoder."""
        if isinstance(upload, bytes):
            self.limits.file.check_bytes(len(upload))
            detect_format(upload)

    def _acquire(self, upload: int) -> DecoderProcess:
        with self._changed:
            own = [each for each in self._idle if each.upload == upload]
            fit = own or [each for each in self._idle if not each.spent]
            if fit:
                self._idle.remove(fit[-1])
            self._fork_spare()
        if fit and fit[-1].alive:
            return fit[-1]
        if fit:
            fit[-1].close()
            return self._acquire(upload)
        try:
            return DecoderProcess(self.limits, self._large)
        except OSError as error:
            raise Overloaded("No decoder can be started: the system has no process or descriptor left.") from error

    def _fork_spare(self) -> None:
        """Fork a decoder in the background where none waits: the next upload need not wait for that."""
        if self._spare is None and not self._closed and not any(not each.spent for each in self._idle):
            self._spare = Thread(target=self._add_spare, name="spare_decoder", daemon=True)
            self._spare.start()

    def _add_spare(self) -> None:
        spare = None
        with suppress(OSError):  # no process or descriptor is left
            spare = DecoderProcess(self.limits, self._large)
        with self._changed:
            self._spare = None
            if spare is not None and not self._closed and len(self._idle) < self._most_idle:
                self._idle.insert(0, spare)
                return
        if spare is not None:
            spare.close()

    def _release(self, decoder: DecoderProcess) -> None:
        surplus: list[DecoderProcess] = []
        with self._changed:
            if self._closed or (decoder.spent and decoder.upload == NO_UPLOAD):
                surplus.append(decoder)
            else:
                self._idle.append(decoder)
                if len(self._idle) > self._most_idle:
                    surplus.append(self._idle.pop(0))
        for each in surplus:
            each.close()

    @contextmanager
    def _large(self) -> Iterator[None]:
        """Return a context in which no other decoder uses much memory; raises WorkStopped while it waits."""
        work = current_work()
        with stage("queue"):
            while not self._large_lock.acquire(timeout=_RECHECK_S):
                work.check()
        try:
            yield
        finally:
            self._large_lock.release()


def _ending(status: int) -> "DecoderEnding":
    if status in _KILLED:
        return "killed"
    return "cpu-time" if status == -signal.SIGPROF else "crash"


def open_decoder(
    limits: DecoderLimits,
    threads: int,
    count_ending: Callable[[str], None] = lambda _: None,
) -> Decoder:
    """Return decoder processes for a number of threads, on a platform without them the decoder of this process.

    Raises `DecoderSystemError`.
    """
    if not HAS_PROCESSES:
        _LOG.warning("this platform has no decoder processes: a hostile file can take the memory of this process")
        return InProcessDecoder(limits.file)
    check_system()
    # One more than the threads: a killed decoder is replaced at once.
    return DecoderPool(limits, threads + 1, count_ending)
