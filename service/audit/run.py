"""Run an audit: read the sources, compare the groups, write the page, the tables and the JSON."""

import os
from pathlib import Path

import numpy as np

from service.audit.agreement import find_agreement
from service.audit.comparison import allowed, compare_groups, finish
from service.audit.data.corrections import read_corrections
from service.audit.data.exams import DIMENSIONS, read_exams
from service.audit.data.frames import read_frames
from service.audit.data.session import Session, open_session
from service.audit.data.sources import Sources, find_sources
from service.audit.drift import find_drift, flag_drift
from service.audit.groups import group_exams
from service.audit.measures import measures
from service.audit.outliers import find_outliers
from service.audit.report.write import write_audit
from service.audit.result import TABLES, Audit, AuditOptions
from service.jobs import JobError
from service.jobs.outputs import delete_drafts, one_run


def run_audit(options: AuditOptions) -> Audit:
    """Audit the sources into the folder of results.

    Raises `JobError` if a source cannot be read, holds too few exams to show any number, or if results cannot be
    written.
    """
    _check_place(options)
    sources = find_sources(list(options.sources))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with one_run(options.out), open_session(options.out, options.memory_mib, options.threads) as session:
            for folder in (options.out, options.out / TABLES):
                delete_drafts(folder)
            audit = _analyze(session, sources, options)
            write_audit(session, audit)
    except OSError as error:
        raise JobError(f"{options.out} cannot be written: {error.strerror}") from error
    return audit


def _check_place(options: AuditOptions) -> None:
    for each in options.sources:
        source = Path(os.path.abspath(each))  # noqa: PTH100 (a link stays a link)
        if options.out.is_relative_to(source) or options.out.is_relative_to(source.resolve()):
            raise JobError(f"OUT must not lie in {each}: the next audit would read its tables")


def _analyze(session: Session, sources: Sources, options: AuditOptions) -> Audit:
    read = read_frames(session, sources, options.package.manifest)
    if read.rows == read.refused + read.damaged:
        raise JobError(
            f"the sources hold no frame with an answer (rows {read.rows}, refused {read.refused}, "
            f"damaged {read.damaged})"
        )
    exams = read_exams(session, options.protocols)
    if len(exams) < options.min_group:
        raise JobError(
            f"the sources hold {len(exams)} {'exam' if len(exams) == 1 else 'exams'}; fewer than {options.min_group} "
            "are not shown, as any smaller group (--min-group)"
        )
    options.operators.name(exams)
    found = measures(exams, options.protocols)
    groupings = {
        dimension: grouping
        for dimension in DIMENSIONS
        if (grouping := group_exams(exams, dimension, options.min_group)) is not None
    }
    tables = [
        compare_groups(grouping, measure, options.min_group) for grouping in groupings.values() for measure in found
        if np.isfinite(measure.values).any()
    ]  # fmt: skip
    families = find_drift(exams, found, groupings, options.min_group)
    compared = [table.measure.kind == "complete" for table in tables if table.compared]
    main, other = allowed(sum(compared), len(compared) - sum(compared) + len(families))
    levels = [main if table.measure.kind == "complete" else other for table in tables]
    corrected = read_corrections(session, sources)
    return Audit(
        options, read, exams, found, groupings, finish(tables, levels), flag_drift(families, other), corrected,
        find_agreement(corrected, options.package.manifest, options.min_group), find_outliers(found),
    )  # fmt: skip
