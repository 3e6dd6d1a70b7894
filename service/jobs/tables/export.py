"""The export of a table: write the plan, process the shards that have no part yet, count the frames."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from time import monotonic

from service.imaging.frame import Limits
from service.inference.package import load_package
from service.inference.precision import choose_precision
from service.jobs import JobError
from service.jobs.rows import DISCLAIMER, Counts
from service.jobs.runner import JobProgress
from service.jobs.tables.plan import ShardSize, make_plan
from service.jobs.tables.shard import FinishedShard, PartContents, ShardWorker, TableJob, read_contents
from service.jobs.tables.storage import open_storage

SUMMARY = "_summary.json"

_PART_READERS = 16  # threads that look for finished parts; in object storage each look waits for the network

ShardRunner = Callable[[TableJob, list[int]], Iterator[FinishedShard]]
"""Processes the shards with these numbers, in any order, and yields each when its part is written."""


def run_locally(job: TableJob, numbers: list[int]) -> Iterator[FinishedShard]:
    """Process shards one after the other, the frames of each in parallel."""
    with closing(ShardWorker(job)) as worker:
        yield from map(worker.work, numbers)


def export_table(job: TableJob, limits: Limits, size: ShardSize, runner: ShardRunner = run_locally) -> Counts:
    """Classify every frame of a source into a table, or continue an interrupted export; return the counts of all runs.

    The first run fixes the limits on one file and the size of a shard. Raises `PackageError`, and `JobError` if a
    folder cannot be read or written, another export writes to `out`, or `out` holds another table.
    """
    source, out = open_storage(job.source), open_storage(job.out)
    if out.inside(source):
        raise JobError("OUT must not lie in SOURCE: the next run would read the table as frames")
    with out.exclusive():
        columns = job.audit.fingerprint if job.audit else None
        package = choose_precision(load_package(job.model).on(job.providers), job.precision)
        plan, skipped = make_plan(source, out, package, limits, size, columns)
        with ThreadPoolExecutor(_PART_READERS) as pool:
            parts = list(pool.map(partial(read_contents, out), map(plan.part, range(plan.shards))))
        total = PartContents(counts=Counts(skipped=len(skipped)), skipped=skipped)
        for part in parts:
            _add(total, part or PartContents())
        missing = [number for number, part in enumerate(parts) if part is None]
        seconds = _run_shards(job, missing, runner, total) if missing else {}
        out.delete_drafts()
        # The seconds are those of the last run alone.
        model = {"model_sha256": plan.key.model_sha256, "model_precision": plan.key.precision}
        about = {"files": plan.files, **model, "seconds": seconds}
        summary = total.counts.model_dump() | {
            "skipped_files": [each.model_dump() for each in sorted(total.skipped, key=lambda each: each.file)],
            "disclaimer": DISCLAIMER,
        }
        text = json.dumps(summary | about, indent=2).encode() + b"\n"
        out.write(SUMMARY, lambda stream: stream.write(text))
    return total.counts


def _add(total: PartContents, part: PartContents) -> None:
    total.counts.merge(part.counts)
    total.skipped.extend(part.skipped)


def _run_shards(job: TableJob, missing: list[int], runner: ShardRunner, total: PartContents) -> dict[str, float]:
    """Add to the total; return the seconds of each stage, summed over machines, and the duration as `run`."""
    remaining, started = set(missing), monotonic()
    seconds: Counter[str] = Counter()
    with closing(JobProgress(len(missing), "shard", log=True)) as progress:
        for finished in runner(job, missing):
            if finished.number in remaining:  # a machine that seemed lost may report a shard a second time
                remaining.remove(finished.number)
                _add(total, finished)
                seconds.update(finished.seconds)
                progress.add(1, finished.counts.frames)
    if remaining:
        raise JobError(f"{len(remaining)} shards are missing; run the same command again")
    return {"run": monotonic() - started, **seconds}
