"""The job `table`: a tree of files into partitioned Parquet, on one machine or many. Needs the extra `table`, except
`frames_csv`, the table of the job `process`.
"""
