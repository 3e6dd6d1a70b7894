"""Shards on the machines of a Ray cluster, by Ray Data."""

import logging
from collections.abc import Iterator
from functools import lru_cache, partial

import pyarrow as pa
import ray
import ray.data

from service.jobs.tables.shard import FinishedShard, ShardWorker, TableJob

_ANSWERED = "finished"


def on_ray(address: str, job: TableJob, numbers: list[int]) -> Iterator[FinishedShard]:
    """Have a cluster do shards, in whatever order; what a lost machine had begun is begun anew on another.

    Parameters
    ----------
    address
        Of the cluster; `auto` is the one that this machine belongs to, `local` one of this machine alone, for this run.
    job
        Where from and where to: places that every machine of the cluster sees under the same name.
    numbers
        The shards.
    """
    own = {"include_dashboard": False} if address == "local" else {}  # what an existing cluster has is its own matter
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **own)  # type: ignore[arg-type]
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # there is a line of our own
        told = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        # Tasks and not actors: a task of a lost machine goes to any other, where an actor waits for room to rise again.
        done = told.map_batches(partial(_work, job), batch_size=1, batch_format="pyarrow", num_cpus=job.threads)
        for row in done.iter_rows():
            yield FinishedShard.read(row[_ANSWERED])
    finally:
        ray.shutdown()


def _work(job: TableJob, batch: pa.Table) -> pa.Table:
    """A shard, on one of the machines."""
    finished = [_worker(job).work(number) for number in batch.column("number").to_pylist()]
    return pa.table({_ANSWERED: [each.written() for each in finished]})


@lru_cache(maxsize=1)
def _worker(job: TableJob) -> ShardWorker:
    """The model is loaded once a process; Ray keeps a process for many tasks."""
    return ShardWorker(job)
