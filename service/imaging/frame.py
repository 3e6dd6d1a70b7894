"""The values that decoding yields: a frame, the frames of a file, and the limits on both."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from service.errors import FrameTooLarge, NoSuchFrame, Problem, UnreadableFrame, UploadTooLarge
from service.imaging.color import Colors, Gray
from service.imaging.sector import Box
from service.schemas.answers import Format

if TYPE_CHECKING:
    from service.imaging.dicom.attributes import DicomAttributes

T = TypeVar("T")
U = TypeVar("U")

MAX_SIDE = 16_384  # pixels; JPEG, WebP and OpenCV have limits near it, and no scanner comes close


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes beyond which an upload is refused before it is decoded."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 32_000_000

    def check_bytes(self, count: int) -> None:
        """Raise UploadTooLarge where a file of `count` bytes is over the limit."""
        if count > self.max_bytes:
            raise UploadTooLarge(f"The upload has {count} bytes; the limit is {self.max_bytes} bytes.")

    def check_size(self, width: int, height: int, frames: int = 1) -> None:
        """Raise FrameTooLarge where `frames` frames of `width` x `height` pixels are over the limits.

        Raises UnreadableFrame where they have no pixels.
        """
        if min(width, height) < 1:
            raise UnreadableFrame(f"The frame is {width} x {height} pixels.")
        if max(width, height) > MAX_SIDE:
            raise FrameTooLarge(f"The frame is {width} x {height} pixels; the limit is {MAX_SIDE} pixels per side.")
        if width * height * frames > self.max_pixels:
            count = f"{frames} frames of " if frames > 1 else ""
            raise FrameTooLarge(f"{count}{width} x {height} pixels exceed the limit of {self.max_pixels} pixels.")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, eq=False)
class FrameMetadata:
    """The facts about a frame that an answer contains, without the pixels.

    Attributes
    ----------
    format
        The format of the file.
    width, height
        Of the upright frame, in pixels.
    index, count
        The index of the frame in the file, from 0, and the number of frames of the file.
    seconds
        The time at which a video or a loop shows the frame, from its first frame; None where the file states no times.
    dicom
        The patient, study and instance attributes of a DICOM file; a report about the frame copies them. None for
        other formats.
    """

    format: Format
    width: int
    height: int
    index: int
    count: int
    dicom: "DicomAttributes | None" = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame.

    Attributes
    ----------
    pixels
        uint8 [H, W], upright, 0 is black; contiguous.
    format, index, count, dicom, seconds
        As in `FrameMetadata`.
    region
        The part of the frame that shows tissue, if the file declares it, as DICOM can.
    colors
        A small color copy, as `reduce_colors` makes it; None where the frame is gray.
    """

    pixels: Gray
    format: Format
    index: int = 0
    count: int = 1
    region: Box | None = None
    colors: Colors | None = None
    dicom: "DicomAttributes | None" = None
    seconds: float | None = None

    @property
    def metadata(self) -> FrameMetadata:
        """The frame without its pixels."""
        height, width = self.pixels.shape
        return FrameMetadata(self.format, width, height, self.index, self.count, self.dicom, self.seconds)


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Frames(Generic[T]):
    """The frames of one file, opened once and decoded one by one; at most one of them is in memory.

    Not thread-safe. Read an animation or a video in rising order: a step back decodes it from an earlier frame again.

    Attributes
    ----------
    format, count
        As in `FrameMetadata`.
    independent
        Whether the frames after a damaged frame can still be read.
    max_pixels
        The most pixels that a frame can have, by the header.
    steps
        Whether a frame far from the last one must be reached frame by frame: the limit on pixels counts all frames of a
        leap, because all of them are decoded.
    times
        When each frame is shown, in milliseconds from the first; None where the file states no times.
    """

    format: Format
    count: int
    independent: bool
    max_pixels: int
    _read: Callable[[int], T]
    _close: Callable[[], None] = _nothing
    steps: bool = False
    times: Sequence[int] | None = None

    def close(self) -> None:
        """Free what the open file holds."""
        self._close()

    def step_to(self, index: int) -> None:
        """Read what must be read before frame `index`, where no earlier read has; raises what `read` raises."""
        for before in range(index if self.steps else 0):
            self.read(before)

    def map(self, change: Callable[[T], U]) -> "Frames[U]":
        """Return the same file, with `change` applied to each frame that is read."""
        return Frames(
            self.format,
            self.count,
            self.independent,
            self.max_pixels,
            lambda index: change(self._read(index)),
            self._close,
            self.steps,
            self.times,
        )

    def read(self, index: int) -> T:
        """Decode frame `index`, from 0.

        Raises
        ------
        NoSuchFrame
            `index` is not below `count`.
        UnreadableFrame
            The frame is damaged.
        FrameTooLarge
            The frame is over the limits.
        """
        if not 0 <= index < self.count:
            raise NoSuchFrame(
                f"`frame` must be between 0 and {self.count - 1}; this file has {self.count} "
                f"{'frame' if self.count == 1 else 'frames'}."
            )
        with parser_errors_as_problems(self.format):
            return self._read(index)


@contextmanager
def parser_errors_as_problems(format_: Format) -> Iterator[None]:
    """Turn every exception of a parser into UnreadableFrame; hostile bytes can make a parser raise anything."""
    try:
        yield
    except Problem:
        raise
    except Exception as error:
        raise unreadable(format_) from error


def unreadable(format_: Format) -> UnreadableFrame:
    """Return the refusal of a damaged file."""
    return UnreadableFrame(f"The {format_.upper()} is damaged, cut short, or of a kind that is not supported.")
