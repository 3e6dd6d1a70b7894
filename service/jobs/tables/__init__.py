"""The job `table`: a tree of files into partitioned Parquet, on one machine or many. Needs the extra `table`."""
