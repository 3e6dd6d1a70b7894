"""Walk over the elements of a data set, whatever is wrong with those that the service does not need.

The walk steps from element to element (PS3.5, section 7) up to the pixel data. Where it is lost, because an element has
no readable form or a sequence has no end, it searches for the next wanted element. Its steps are counted, and no search
passes over the bytes of another, so the cost is bounded.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice

from service.imaging.dicom.dataset.elements import LONG, PIXELS, UNDEFINED, Data, Element, ElementReader, WalkError

Wanted = tuple[tuple[int, tuple[bytes, ...]], ...]
"""The tags to search for, each with the VRs that it may have."""

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_MAX_STEPS = 50_000  # elements at all depths; scanners write some hundreds
_MAX_DEPTH = 16
_MAX_SEARCH = 2**23  # bytes
_MAX_MATCHES = 10_000  # of one search
_MAX_FOUND = 2**17  # bytes of a value that was searched for; a palette of 65,536 entries has as many


class Walk(ElementReader):
    """A walk over data in one encoding; it searches for the tags `wanted` where it is lost."""

    def __init__(self, data: Data, explicit: bool, little: bool, wanted: Wanted = ()) -> None:
        super().__init__(data, explicit, little)
        self._wanted, self._steps = wanted, 0

    def elements(self, at: int) -> Iterator[tuple[int, Element]]:
        """Yield tag and value of the elements of the top level from `at` on, the pixel data last."""
        last, begin = 0, at
        while (found := self._next(at, last, begin)) is not None:
            yield found
            last, element = found
            if last == PIXELS:
                return
            begin = element.start
            try:
                at = self._end(last, element, 0)
            except WalkError:
                at = begin

    def items(self, tag: int, sequence: Element) -> list[dict[int, Element]]:
        """Return the elements of each item of a sequence, as far as they can be read."""
        walk, items = self._within(sequence), list[dict[int, Element]]()
        with suppress(WalkError):
            walk._items_end(tag, sequence, 0, items)
        return items

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise WalkError

    def _next(self, at: int, last: int, begin: int) -> tuple[int, Element] | None:
        """Return the element at `at`; where there is none, the next wanted one whose tag is above `last`.

        `begin` is where the value of the element before begins: its length is wrong if nothing follows it.
        """
        try:
            self._step()
            found = self.element(at)
            if found[0] <= PIXELS:
                return found
        except WalkError:
            pass
        return self._search(at if self.follows(last, at) else begin, last)

    def _search(self, at: int, last: int) -> tuple[int, Element] | None:
        pixels = None
        matches = _pattern(self._wanted, self.explicit, self.little).finditer(self.data, at, at + _MAX_SEARCH)
        for match in islice(matches, _MAX_MATCHES):
            try:
                tag, element = self.element(match.start())
            except WalkError:
                continue
            if tag == PIXELS:
                # An icon has pixel data of its own; those of the frame are the last.
                pixels = tag, element
            elif tag > last and element.length <= _MAX_FOUND and (self.explicit or self.follows(tag, element.end)):
                return tag, element
        return pixels

    def _end(self, tag: int, element: Element, depth: int) -> int:
        """Return where the element ends; walk through it where its length is undefined."""
        if element.length != UNDEFINED:
            return element.end
        if depth >= _MAX_DEPTH:
            raise WalkError
        walk = self._within(element)
        walk._steps = self._steps
        try:
            return walk._items_end(tag, element, depth)
        finally:
            self._steps = walk._steps

    def _within(self, sequence: Element) -> "Walk":
        """Return a walk over the content of a sequence; that of UN has implicit VRs (PS3.5, 6.2.2, note 2)."""
        unknown = sequence.vr == b"UN"
        return Walk(self.data, self.explicit and not unknown, self.little or unknown)

    def _items_end(self, tag: int, sequence: Element, depth: int, items: list[dict[int, Element]] | None = None) -> int:
        """Return where the items of a sequence end; add their elements to `items` where a list is given."""
        stated = sequence.length != UNDEFINED
        at, end = sequence.start, sequence.end if stated else len(self.data)
        while at + 8 <= end:
            self._step()
            item, length = self.tag_and_length(at)
            if item == _SEQUENCE_END or item == length == 0:
                return at + 8
            if item != _ITEM:
                # The delimiter is missing: an element of the level above begins here.
                if stated or not self.follows(tag, at):
                    raise WalkError
                return at
            if length != UNDEFINED and items is None:
                at += 8 + length
            else:
                item_end = end if length == UNDEFINED else min(end, at + 8 + length)
                at = self._item_end(at + 8, item_end, depth, items)
        if not stated or at > end:
            raise WalkError
        return end

    def _item_end(self, at: int, end: int, depth: int, items: list[dict[int, Element]] | None) -> int:
        found: dict[int, Element] = {}
        if items is not None:
            items.append(found)
        last = 0
        while at + 8 <= end:
            self._step()
            delimiter, length = self.tag_and_length(at)
            if delimiter == _ITEM_END or delimiter == length == 0:
                return at + 8
            if delimiter in (_ITEM, _SEQUENCE_END):  # the item's own delimiter is missing
                return at
            tag, element = self.element(at)
            if tag <= last:  # and so is the sequence's: tags rise within an item
                return at
            found[tag] = element
            at, last = self._end(tag, element, depth + 1), tag
        return at


@cache
def _pattern(wanted: Wanted, explicit: bool, little: bool) -> re.Pattern[bytes]:
    """Return a pattern of the first bytes of every wanted element."""
    order = "<H" if little else ">H"
    groups: dict[bytes, list[bytes]] = {}
    for tag, vrs in wanted:
        start = re.escape(struct.pack(order, tag & 0xFFFF))
        if explicit:
            start += b"(?:" + b"|".join(vr + b"\0\0" if vr in LONG else vr for vr in vrs) + b")"
        elif tag != PIXELS:
            start += b"..\0\0" if little else b"\0\0.."
        groups.setdefault(re.escape(struct.pack(order, tag >> 16)), []).append(start)
    starts = (group + b"(?:" + b"|".join(numbers) + b")" for group, numbers in groups.items())
    return re.compile(b"|".join(starts), re.DOTALL)
