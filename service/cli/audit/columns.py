"""The options of `process` and `table` that record what an audit groups exams by."""

import argparse
from typing import TYPE_CHECKING

from service.cli.arguments import CommandError

if TYPE_CHECKING:
    from service.reports.audit_columns import AuditKey
    from service.settings import Settings
    from service.site_secret import SiteSecret


def add_audit_columns(command: argparse.ArgumentParser) -> None:
    """Add the options that record what an audit groups exams by."""
    command.add_argument(
        "--audit-columns", action="store_true",
        help="also record keyed hashes of study, patient and operator, and machine, site and month; needs "
        "FETAL_PLANES_STORE_SECRET",
    )  # fmt: skip
    command.add_argument(
        "--site", metavar="NAME", help="site in these columns (default: a keyed hash of the Institution Name)"
    )


def read_audit_key(options: argparse.Namespace, settings: "Settings") -> "AuditKey | None":
    """Return what makes the columns of an audit; None where they are not asked for."""
    if not options.audit_columns:
        if options.site:
            raise CommandError("--site is one of the columns of --audit-columns")
        return None
    from service.reports.audit_columns import AuditKey

    return AuditKey(read_site_secret(settings, "--audit-columns"), options.site)


def read_site_secret(settings: "Settings", option: str) -> "SiteSecret":
    """Return the site's secret, which an option needs; raises `CommandError` and `SiteSecretError`."""
    from service.site_secret import SiteSecret

    if settings.store_secret is None:
        raise CommandError(f"{option} needs FETAL_PLANES_STORE_SECRET, the file of the site's secret")
    return SiteSecret.read(settings.store_secret)
