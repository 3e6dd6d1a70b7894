"""The shards of a table on the machines of a Ray cluster, through Ray Data."""

import logging
from collections.abc import Iterator
from functools import lru_cache, partial

import pyarrow as pa
import ray
import ray.data

from service.jobs.tables.shard import FinishedShard, ShardWorker, TableJob
from service.process_setup import configure_process


def run_on_ray(address: str, job: TableJob, numbers: list[int]) -> Iterator[FinishedShard]:
    """Process shards on a cluster, in any order; a shard of a lost machine starts again on another.

    The address `auto` is the cluster that this machine belongs to, `local` starts one on this machine. Every machine
    of the cluster sees the job's source, table and model at the same place.
    """
    configure_process()  # Ray must not report its use to its maker
    # An existing cluster decides for itself whether it has a dashboard.
    own = {"include_dashboard": False} if address == "local" else {}
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **own)  # type: ignore[arg-type]
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False  # the job shows its own bar
        shards = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        # Tasks rather than actors: a task of a lost machine moves to any other, an actor waits for free room.
        finished = shards.map_batches(partial(_work, job), batch_size=1, batch_format="pyarrow", num_cpus=job.threads)
        for row in finished.iter_rows():
            yield FinishedShard.model_validate_json(row["finished"])
    finally:
        ray.shutdown()


def _work(job: TableJob, batch: pa.Table) -> pa.Table:
    """Process the shards of a batch, on one of the machines."""
    numbers = batch.column("number").to_pylist()
    return pa.table({"finished": [_worker(job).work(number).model_dump_json() for number in numbers]})


_worker = lru_cache(maxsize=1)(ShardWorker)  # loads the model once per process; Ray reuses a process for many tasks
