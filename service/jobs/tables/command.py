"""The command `fetal-planes archive`."""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from service.execution.cpu_budget import cpu_budget
from service.jobs.command import UsageError
from service.settings import Settings

if TYPE_CHECKING:
    from service.jobs.tables.shard import FinishedShard, TableJob

_SHARD_FILES, _SHARD_BYTES = 256, 256 * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `archive`."""
    parser.add_argument("source", metavar="SOURCE", help="folder of frames, or its URL, such as s3://bucket/frames")
    parser.add_argument("out", metavar="OUT", help="folder of the table, or its URL")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on this Ray cluster, `auto` for the one of this machine")
    parser.add_argument(
        "--shard-files", type=_positive, default=_SHARD_FILES, metavar="N",
        help="files of one part of the table, at most (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--shard-bytes", type=_positive, default=_SHARD_BYTES, metavar="N",
        help="bytes of these files, at most (default: %(default)s)",
    )  # fmt: skip


def export_table_command(options: argparse.Namespace, settings: Settings) -> int:
    """Carry the command out. The exit code: 0 every frame has its answer, 1 some were refused.

    Raises
    ------
    UsageError
        The extra is missing, a place cannot be read or written, or it holds another run's results.
    """
    try:
        from service.jobs.tables import table_job as run
        from service.jobs.tables.listing import ShardSize
        from service.jobs.tables.plan import PlanError
        from service.jobs.tables.shard import TableJob
        from service.jobs.tables.storage import StorageError
    except ImportError as error:
        raise UsageError("archive needs the extra `archive`") from error
    runner = partial(_ray_runner(), options.ray) if options.ray else run.on_this_machine
    # On a cluster the threads of a shard are as many as the cores that it asks for; one each keeps all of them busy.
    threads = settings.workers or 1 if options.ray else cpu_budget(settings.workers).count
    model = settings.model.resolve() if options.model else settings.model
    job = TableJob(options.source, options.out, model, threads)
    try:
        counts = run.export_table(job, settings.limits, ShardSize(options.shard_files, options.shard_bytes), runner)
    except (StorageError, PlanError) as error:
        raise UsageError(str(error)) from error
    sys.stderr.write(counts.text() + "\n")
    return int(counts.refused > 0)


def _ray_runner() -> "Callable[[str, TableJob, list[int]], Iterator[FinishedShard]]":
    try:
        from service.ray.table_runner import on_ray
    except ImportError as error:
        raise UsageError("--ray needs the extra `ray`") from error
    return on_ray


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number
