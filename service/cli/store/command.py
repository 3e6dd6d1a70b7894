"""The commands `store …`: the database of corrections, without a running service."""

import argparse
import secrets
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.arguments import CommandError, Commands, add_command

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.store import Store


def register(commands: Commands) -> None:
    """Add the commands."""
    summary = "manage the corrections that FETAL_PLANES_STORE keeps"
    group = commands.add_parser("store", help=summary, description=f"{summary.capitalize()}.")
    actions = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_command(actions, "secret", _secret, "print a new random secret, for the file FETAL_PLANES_STORE_SECRET")
    add_command(actions, "upgrade", _upgrade, "bring the tables to the newest revision, as the service does at start")
    down = add_command(actions, "downgrade", _downgrade, "bring the tables back, for an older version of the service")
    down.add_argument("revision", help="such as 0001; what newer tables hold is deleted. `base` deletes everything")
    export = add_command(actions, "export", _export, "write the kept frames with their labels, for fetal-planes-build")
    export.add_argument("out", type=Path, metavar="OUT", help="new folder")
    erase = add_command(actions, "erase", _erase, "delete the corrections and frames of a study or a patient")
    erase.add_argument("--study", metavar="ID", help="Study Instance UID as it was sent, or its keyed hash")
    erase.add_argument("--patient", metavar="ID", help="Patient ID as it was sent, or its keyed hash")
    add_command(actions, "expire", _expire, "delete what is older than FETAL_PLANES_STORE_RETENTION_DAYS")


@contextmanager
def _store(settings: "Settings") -> Iterator["Store"]:
    from service.store import open_store

    if (options := settings.store_options) is None:
        raise CommandError("FETAL_PLANES_STORE is not set, so no corrections are kept")
    with closing(open_store(options)) as store:
        yield store


def _secret(_: argparse.Namespace, __: "Settings") -> int:
    sys.stdout.write(f"{secrets.token_urlsafe(32)}\n")
    return 0


def _upgrade(_: argparse.Namespace, settings: "Settings") -> int:
    with _store(settings) as store:
        sys.stdout.write(f"the tables have the revision {store.database.upgrade()}\n")
    return 0


def _downgrade(options: argparse.Namespace, settings: "Settings") -> int:
    with _store(settings) as store:
        from service.store.migration import BASE, revisions

        known = [BASE, *revisions()]
        if options.revision not in known:
            raise CommandError(f"the revision must be one of {', '.join(known)}")
        store.database.downgrade(options.revision)
    sys.stdout.write(f"the tables have the revision {options.revision}\n")
    return 0


def _export(options: argparse.Namespace, settings: "Settings") -> int:
    with _store(settings) as store:
        from service.jobs.crops.kept_frames import export_frames

        sys.stdout.write(f"{export_frames(store, options.out)} frames in {options.out}\n")
    return 0


def _erase(options: argparse.Namespace, settings: "Settings") -> int:
    if options.study is None and options.patient is None:
        raise CommandError("--study or --patient must say what to delete")
    with _store(settings) as store:
        return _report_deleted(*store.erase(options.study, options.patient))


def _expire(_: argparse.Namespace, settings: "Settings") -> int:
    with _store(settings) as store:
        return _report_deleted(*store.expire())


def _report_deleted(corrections: int, frames: int) -> int:
    sys.stdout.write(f"deleted: {corrections} corrections, {frames} frames\n")
    return 0
