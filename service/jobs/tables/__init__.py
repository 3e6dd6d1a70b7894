"""Classifies a tree of files, on one machine or on many, into partitioned Parquet; needs the extra `archive`."""
