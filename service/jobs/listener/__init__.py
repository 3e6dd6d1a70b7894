"""The job `listen`: scanners push objects to it (DIMSE C-STORE), and it sends results to a configured destination.

An object is acknowledged only after the spool has it on disk. `network` speaks DICOM; `spool` and `ledger` hold what
was acknowledged; `frames` and `studies` make results of it; `delivery` sends them; `listener` runs all of them.
"""
