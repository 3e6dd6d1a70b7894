"""A whole run: pin the plan, do the shards that are not done, count what there is."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic

from service.imaging.frame import Limits
from service.inference.package import load_package
from service.jobs.summary import DISCLAIMER, Counts
from service.jobs.tables.listing import ShardSize
from service.jobs.tables.parquet import counts_of, merge, values_of
from service.jobs.tables.plan import Plan, make_plan
from service.jobs.tables.progress import Progress
from service.jobs.tables.shard import FinishedShard, ShardWorker, TableJob
from service.jobs.tables.storage import StorageError, open_storage

SUMMARY = "_summary.json"

_LOOKERS = 16  # at parts that are there: in object storage each look is a wait

Runner = Callable[[TableJob, list[int]], Iterator[FinishedShard]]
"""Does the shards of these numbers, in whatever order, and tells each that is written."""


def on_this_machine(job: TableJob, numbers: list[int]) -> Iterator[FinishedShard]:
    """Do shards one after the other, the frames of each side by side."""
    worker = ShardWorker(job)
    yield from map(worker.work, numbers)


def export_table(job: TableJob, limits: Limits, size: ShardSize, runner: Runner = on_this_machine) -> Counts:
    """Classify every frame of a source into a table, or go on with one.

    Parameters
    ----------
    job
        Where from, where to, and with what.
    limits, size
        What is refused before decoding, and how large a shard is; both are pinned with the first run.
    runner
        Who does the work.

    Returns
    -------
    Counts
        Of the whole table, the shards of earlier runs included.

    Raises
    ------
    PlaceError, PlanError, PackageError
        A place cannot be read or written; it holds another run's results; the model must not be used.
    """
    source, out = open_storage(job.source), open_storage(job.out)
    if out.inside(source):
        raise StorageError("the results must not lie in the source: the next run would take them for frames")
    plan = make_plan(source, out, load_package(job.model), limits, size)
    with ThreadPoolExecutor(_LOOKERS) as lookers:
        found = list(lookers.map(partial(counts_of, out), map(plan.part, range(plan.shards))))
    counts = Counts()
    for each in found:
        merge(counts, each or Counts())
    missing = [number for number, each in enumerate(found) if each is None]
    spent = _do(job, missing, runner, counts) if missing else {}
    out.sweep()
    out.write(SUMMARY, lambda stream: stream.write(_summary(plan, counts, spent)))
    return counts


def _do(job: TableJob, missing: list[int], runner: Runner, counts: Counts) -> dict[str, float]:
    progress, left, begun = Progress(len(missing)), set(missing), monotonic()
    spent: Counter[str] = Counter()
    for finished in runner(job, missing):
        if finished.number in left:  # a machine that was believed lost may tell a second time
            left.remove(finished.number)
            merge(counts, finished.counts)
            spent.update(finished.seconds)
            progress.add(finished.counts.frames)
    if left:
        raise StorageError(f"{len(left)} shards were not done; run the same command again")
    return {"run": monotonic() - begun, **spent}


def _summary(plan: Plan, counts: Counts, spent: dict[str, float]) -> bytes:
    """The table in brief; `seconds` are of the last run alone: its own, and those of its shards, over all machines."""
    told = values_of(counts) | {"files": plan.files, "model_sha256": plan.model_sha256, "disclaimer": DISCLAIMER}
    return json.dumps(told | {"seconds": spent}, indent=2).encode() + b"\n"
