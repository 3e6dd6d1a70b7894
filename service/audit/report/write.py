"""Write the results of an audit: the page, the JSON, and the tables."""

import json

from service.audit.data.session import Session
from service.audit.report.contents import exam_table, make_tables
from service.audit.report.page import notes, render
from service.audit.report.tables import write_tables
from service.audit.result import PAGE, RESULT, TABLES, Audit
from service.jobs.outputs import write_whole
from service.jobs.rows import DISCLAIMER


def write_audit(session: Session, audit: Audit) -> None:
    """Write all files; each appears whole. Raises `OSError`."""
    tables = make_tables(audit)
    write_tables(session, [*tables, exam_table(audit)], audit.options.out / TABLES)
    manifest, package = audit.options.package.manifest, audit.options.package
    result = {
        "disclaimer": DISCLAIMER,
        "exams": len(audit.exams),
        "frames": audit.exams.counts.frames,
        "min_group": audit.options.min_group,
        "protocols": [each.model_dump(include={"id", "name", "version"}) for each in audit.options.protocols],
        "model": {"name": manifest.name, "version": manifest.version, "sha256": package.sha256},
        "kappa": None if audit.agreement is None else _finite(audit.agreement.kappa._asdict()),
        "notes": notes(audit),
        "tables": {each.name: each.records() for each in tables},
    }
    write_whole(audit.options.out / RESULT, json.dumps(result, indent=1, allow_nan=False).encode() + b"\n")
    write_whole(audit.options.out / PAGE, render(audit, tables).encode())


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if abs(value) < float("inf") else None for name, value in values.items()}
