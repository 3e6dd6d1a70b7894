"""The audit: what many exams came to, group by group, from the results of `table` and `process` and from corrections.

It needs the extra `audit` (DuckDB). It is a batch job: nothing of it is served.
"""
