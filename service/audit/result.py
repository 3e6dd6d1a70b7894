"""What an audit is given, and what it came to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.audit.agreement import Agreement
from service.audit.comparison import GroupTable
from service.audit.data.corrections import Corrected
from service.audit.data.exams import Exams
from service.audit.data.frames import ReadCounts
from service.audit.drift import DriftSeries
from service.audit.findings import Finding, list_findings
from service.audit.groups import Grouping
from service.audit.measures import Measure
from service.audit.operators import Operators
from service.audit.outliers import Outlier
from service.inference.package import ModelPackage
from service.schemas.protocols import Protocol

PAGE, RESULT, TABLES = "audit.html", "audit.json", "tables"


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What to audit, and how.

    Attributes
    ----------
    sources, out
        Files, folders and databases; the folder of results.
    package, protocols
        The model package, for its planes and its card; the protocols that exams are checked against.
    min_group
        The least number of exams of a group that is shown.
    operators
        How operators are named.
    memory_mib, threads
        The limits of DuckDB.
    """

    sources: Sequence[str]
    out: Path
    package: ModelPackage
    protocols: Sequence[Protocol]
    min_group: int = 20
    operators: Operators = field(default_factory=Operators)
    memory_mib: int = 512
    threads: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What an audit came to."""

    options: AuditOptions
    read: ReadCounts
    exams: Exams
    measures: list[Measure]
    groupings: dict[str, Grouping]
    tables: list[GroupTable]
    series: list[DriftSeries]
    corrected: Corrected | None
    agreement: Agreement | None
    outliers: list[Outlier]

    @property
    def findings(self) -> list[Finding]:
        """The findings, the most improbable first."""
        return list_findings(self.tables, self.series)
