"""Measure what a decoder process takes: `python -m bench.decoder_memory`.

- memory for each format: per pixel, the fixed part, and the share of the limit that a file of the largest size uses;
- proportional memory (PSS) of an idle decoder and of the fork server;
- the CPU time that decoding in a process of its own adds to an ordinary frame.
"""

import argparse
import re
import statistics
import sys
import time
from contextlib import closing, nullcontext
from typing import NamedTuple

from bench.decoder_memory.process_memory import pss_bytes, status_bytes
from bench.frames import scans
from bench.publish import conditions, make_parser, parse
from service.execution.decoders.decoder import Decoder, InProcessDecoder
from service.execution.decoders.fork_server import fork_server
from service.execution.decoders.limits import COPIES_OF_FILE, DecoderLimits, frame_bytes
from service.execution.decoders.messages import Request
from service.execution.decoders.pool import DecoderPool
from service.execution.decoders.process import DecoderEnded, DecoderProcess
from service.imaging.decode import decode_frame
from service.imaging.frame import Limits
from service.process_setup import configure_process
from tests.support.file_kinds import MAKERS, Maker, drawn
from tests.support.images import encode

_MIB = 2**20
_SMALL, _LARGE = (2_000, 1_000), (8_000, 4_000)  # pixels; the second is the largest size that is permitted by default
_LIMITS = DecoderLimits(2**28, Limits().max_pixels, cpu_s=600)  # bytes: uncompressed files of 32 megapixels are large
_UNLIMITED = _LIMITS._replace(allowance=2**33)


class Need(NamedTuple):
    """What a file took: bytes of address space, and whether it was decoded."""

    bytes: int
    outcome: str


def measure(data: bytes, limits: DecoderLimits) -> Need:
    """Return what a new decoder takes for the first frame of a file, beyond what it takes when idle."""
    with closing(DecoderProcess(limits, nullcontext)) as decoder:
        before = status_bytes(decoder.id, "VmSize") - len(decoder.arena)
        decoder.arena.grow(len(data))
        decoder.arena.write(data)
        upload = len(decoder.arena)
        try:
            reply = decoder.ask(Request("arena", len(data), 0, step=False), [])
            outcome = "decoded" if reply.frame is not None else reply.problem.code if reply.problem else "nothing"
            peak = status_bytes(decoder.id, "VmPeak")
        except (DecoderEnded, OSError):
            return Need(0, "ended")
        return Need(peak - before - upload, outcome)


def _row(name: str, make: Maker) -> str:
    small, large = make(drawn(*_SMALL)), make(drawn(*_LARGE))
    pixels = [width * height for width, height in (_SMALL, _LARGE)]
    needs = [measure(small, _UNLIMITED).bytes, measure(large, _UNLIMITED).bytes]
    each = (needs[1] - needs[0]) / (pixels[1] - pixels[0])
    limit = _LIMITS.allowance + COPIES_OF_FILE * len(large) + frame_bytes(pixels[1])
    row = (
        f"| {name} | {len(large) / _MIB:.1f} | {each:.1f} | {(needs[0] - each * pixels[0]) / _MIB:.0f} "
        f"| {needs[1] / _MIB:.0f} | {needs[1] / limit:.0%} | {measure(large, _LIMITS).outcome} |\n"
    )
    sys.stderr.write(row)  # the whole table takes minutes
    return row


def hop_ms(data: bytes, turns: int) -> tuple[float, float]:
    """Return the median CPU milliseconds of decoding in this process, and of doing it in a decoder."""
    limits = Limits()
    here: Decoder = InProcessDecoder(limits)
    with closing(DecoderPool(_LIMITS, 1)) as pool:
        pool.start()
        pool.open(data).close()
        (decoder,) = pool._idle
        spent: tuple[list[float], list[float]] = [], []
        for _ in range(turns):
            for side, opener in enumerate((here, pool)):
                before = time.process_time() + _cpu_s(decoder.id)
                frames = opener.open(data)
                frames.read(0)
                frames.close()
                spent[side].append(1000 * (time.process_time() + _cpu_s(decoder.id) - before))
    return statistics.median(spent[0]), statistics.median(spent[1])


def _cpu_s(process: int) -> float:
    return time.clock_gettime((~process << 3) | 2)


def _processes() -> str:
    with closing(DecoderPool(_LIMITS, 3)) as pool:
        pool.start()
        for _ in range(3):
            with closing(pool.open(scans(1)[0])) as frames:
                frames.read(0)
        sizes = [pss_bytes(each.id) / _MIB for each in pool._idle]
        server = fork_server()._process
        assert server is not None
        return (
            f"Proportional memory (PSS): fork server {pss_bytes(server.pid) / _MIB:.0f} MB, each of three idle "
            f"decoders {min(sizes):.0f} to {max(sizes):.0f} MB.\n"
        )


def _hops(turns: int) -> str:
    png = scans(1)[0]
    jpeg = encode(decode_frame(png).pixels, "JPEG")
    lines = []
    for name, data in (("PNG", png), ("JPEG", jpeg)):
        here, there = hop_ms(data, turns)
        lines.append(
            f"{name} of 800 x 600 pixels, {len(data) // 1000} kB: {here:.2f} CPU ms in this process, {there:.2f} in a "
            f"decoder, {there - here:+.2f}; medians of {turns} alternating turns.\n"
        )
    return "".join(lines)


def main() -> None:
    """Publish a table of formats and three sentences."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", default="", help="regular expression: measure these formats only")
    parser.add_argument("--turns", type=int, default=400, help="of the comparison of CPU times")
    options, section = parse(parser, "decoder-memory")
    configure_process()  # as the service: without, the allocator gives every frame back and faults it in again
    section.publish(_report(options))


def _report(options: argparse.Namespace) -> str:
    head = (
        "| format | file, MB | bytes per pixel | fixed, MB | 32 megapixels, MB | share of the limit | within it |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    rows = [_row(name, make) for name, make in MAKERS.items() if re.search(options.only, name)]
    return "".join([f"{conditions(options.model)}.\n\n", head, *rows, "\n", _processes(), "\n", _hops(options.turns)])


if __name__ == "__main__":
    main()
