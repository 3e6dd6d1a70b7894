"""The command `audit`: completeness, abstention, drift and agreement of many exams, group by group."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.arguments import CommandError, Commands, add_command, positive
from service.cli.audit.columns import read_site_secret

if TYPE_CHECKING:
    from service.audit.operators import Operators
    from service.settings import Settings

MIN_GROUP, MEMORY_MIB = 20, 512


def register(commands: Commands) -> None:
    """Add the command."""
    audit = add_command(commands, "audit", _audit, "compare sites, machines, operators and months over many exams")
    audit.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="results of `table` or `process`, corrections as CSV or JSON, folders with them, or the URL of a store",
    )  # fmt: skip
    audit.add_argument("out", type=Path, metavar="OUT", help="folder of the audit")
    audit.add_argument(
        "--protocol", action="append", dest="protocols", metavar="ID",
        help="protocol that exams should fulfill; may be repeated (default: FETAL_PLANES_DEFAULT_PROTOCOL)",
    )  # fmt: skip
    audit.add_argument(
        "--min-group", type=positive, default=MIN_GROUP, metavar="N",
        help="hide groups of fewer exams (default: %(default)s)",
    )  # fmt: skip
    audit.add_argument(
        "--operators", type=Path, metavar="FILE",
        help="name the operators in this list, one per line; needs FETAL_PLANES_STORE_SECRET (default: pseudonyms)",
    )  # fmt: skip
    audit.add_argument(
        "--memory-mib", type=positive, default=MEMORY_MIB, metavar="N",
        help="memory of the database engine; what does not fit goes to the disk (default: %(default)s)",
    )  # fmt: skip


def _audit(options: argparse.Namespace, settings: "Settings") -> int:
    from service.analysis.protocols.load import choose_protocol, load_protocols
    from service.execution.cpu_budget import cpu_budget
    from service.inference.package import load_package

    try:
        from service.audit.result import PAGE, AuditOptions
        from service.audit.run import run_audit
    except ImportError as error:
        raise CommandError("audit needs the extra `audit`: pip install 'fetal-planes[audit]'") from error
    package = load_package(settings.model)
    protocols = load_protocols(settings.protocols, settings.default_protocol, package.manifest)
    audit = run_audit(
        AuditOptions(
            sources=options.sources,
            out=options.out.resolve(),
            package=package,
            protocols=[choose_protocol(protocols, each) for each in dict.fromkeys(options.protocols or [None])],
            min_group=options.min_group,
            operators=_operators(options, settings),
            memory_mib=options.memory_mib,
            threads=cpu_budget(settings.workers).count,
        )
    )
    for finding in audit.findings:
        sys.stderr.write(f"{finding.name}: {finding.text}\n")
    sys.stderr.write(
        f"{len(audit.exams)} exams, {audit.exams.counts.frames} frames, findings: {len(audit.findings)}; see "
        f"{options.out / PAGE}. Research use only. Not a medical device.\n"
    )
    return 0


def _operators(options: argparse.Namespace, settings: "Settings") -> "Operators":
    from service.audit.operators import Operators

    if options.operators is None:
        return Operators()
    return Operators.read(options.operators, read_site_secret(settings, "--operators"))
