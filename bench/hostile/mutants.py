"""Send damaged files of all formats through decoders; every answer must be a frame or a problem."""

import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from bench.decoder_memory.process_memory import status_bytes
from service.errors import Problem
from service.execution.decoders.limits import DecoderLimits
from service.execution.decoders.pool import DecoderPool
from service.imaging.files.archive import is_zip, list_members, open_bytes
from tests.support.mutants import mutate, seeds

_MIB = 2**20
_LIMITS = DecoderLimits(max_bytes=4 * _MIB, max_pixels=2**22, cpu_s=2)
_MAX_MEMBERS = 100
_THREADS = 2
_CHUNK = 500
_WARM_UP = 0.2  # share of the mutants after which memory must not grow


@dataclass
class Result:
    """What became of the mutants.

    Attributes
    ----------
    read, refused
        Mutants that gave a frame, and problems by their code.
    endings
        Decoders that ended, by the reason.
    ended_on
        The mutants that were in work then.
    wrong
        Mutants that got another answer: the name of the file, the number of the mutant, and what came.
    left
        Decoder processes that were alive a moment after the end.
    growth
        Bytes that this process's resident memory grew by after the first fifth.
    slowest_s
        The longest answer.
    cpu_s
        CPU seconds of this process.
    """

    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    ended_on: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    left: int = 0
    growth: int = 0
    slowest_s: float = 0.0
    cpu_s: float = 0.0

    def text(self) -> str:
        """Return the result as a list for the documentation."""
        refused = ", ".join(f"{count} {code}" for code, count in self.refused.most_common())
        ended = ", ".join(f"{count} {reason}" for reason, count in self.endings.most_common()) or "none"
        return (
            f"- {self.read} mutants gave a frame; refused: {refused}; other answers: {len(self.wrong)}\n"
            f"- decoders that ended: {ended}; processes left behind: {self.left}\n"
            f"- slowest answer {self.slowest_s:.1f} s; resident memory of the calling process "
            f"{self.growth / _MIB:+.1f} MB after the first fifth; {self.cpu_s:.0f} s of its CPU time\n"
            + "".join(f"- decoder ended on {name}: {count}\n" for name, count in self.ended_on.most_common(40))
            + "".join(f"- wrong: {each}\n" for each in self.wrong[:40])
        )


def try_mutants(count: int, seed: int = 0, makers: Callable[[], dict[str, bytes]] = seeds) -> Result:
    """Send `count` mutants of the files that `makers` returns by name through a pool of decoders."""
    originals, result, lock = list(makers().items()), Result(), Lock()
    ids: set[int] = set()

    def attempt(number: int, pool: DecoderPool) -> None:
        name, data = originals[number % len(originals)]
        rng = random.Random(f"{seed} {number}")  # noqa: S311
        mutant, started = mutate(data, rng, header=min(900, len(data))), time.monotonic()
        before = result.endings.total()
        answer = _answer_any(pool, mutant, rng.choice([0, 0, 0, 2, 12]))
        with lock:
            ids.update(each.id for each in pool._idle)
            result.slowest_s = max(result.slowest_s, time.monotonic() - started)
            if answer == "frame":
                result.read += 1
            elif answer.startswith("!"):
                result.wrong.append(f"{name}, mutant {number}: {answer[1:]}")
            else:
                result.refused[answer] += 1
            if result.endings.total() > before:
                result.ended_on[f"{name}, mutant {number}: {answer}"] += 1

    def count_ending(reason: str) -> None:
        with lock:
            result.endings[reason] += 1

    with closing(DecoderPool(_LIMITS, _THREADS, count_ending=count_ending)) as pool:
        with ThreadPoolExecutor(_THREADS) as threads:
            warm = int(count * _WARM_UP)
            _run(threads, lambda number: attempt(number, pool), range(warm))
            before = status_bytes("self", "VmRSS")
            _run(threads, lambda number: attempt(number, pool), range(warm, count))
        result.growth = status_bytes("self", "VmRSS") - before
    result.left = _left(ids)
    result.cpu_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    return result


def _run(threads: ThreadPoolExecutor, attempt: Callable[[int], None], numbers: range) -> None:
    for first in range(0, len(numbers), _CHUNK):  # the executor holds a future for each number that it gets
        for _ in threads.map(attempt, numbers[first : first + _CHUNK]):
            pass


def _answer_any(pool: DecoderPool, data: bytes, index: int) -> str:
    """Return the answer to a file; of an archive, that of its last file, or of the first with a wrong answer."""
    if not is_zip(data):
        return _answer(pool, data, index)
    answer = "empty-upload"
    try:
        for member in list_members(open_bytes(data), _MAX_MEMBERS):
            try:
                answer = _answer(pool, member.read(_LIMITS.max_bytes), index)
            except Problem as problem:
                answer = problem.code
            if answer.startswith("!"):
                return answer
    except Problem as problem:
        return problem.code
    except Exception as error:
        return f"!{type(error).__name__}: {error}"
    return answer


def _answer(pool: DecoderPool, data: bytes, index: int) -> str:
    """Return `frame`, the code of a problem, or what is wrong after an exclamation mark."""
    try:
        with closing(pool.open(data, index)) as frames:
            pixels = frames.read(index).pixels
    except Problem as problem:
        client_error = 400 <= problem.status < 500 and problem.detail.endswith(".")
        return problem.code if client_error else f"!{problem.code}: {problem.detail}"
    except Exception as error:
        return f"!{type(error).__name__}: {error}"
    return "frame" if 0 < pixels.size <= _LIMITS.max_pixels else f"!{pixels.shape}"


def _left(ids: set[int]) -> int:
    deadline = time.monotonic() + 10
    while (alive := [each for each in ids if Path(f"/proc/{each}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(alive)
