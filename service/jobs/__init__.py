"""Jobs over folders, object storage and DICOMweb studies: one runner, one worker, several sinks."""


class JobError(Exception):
    """A job cannot start or continue. The message says why and what to do."""


class StoreError(Exception):
    """One DICOM result cannot be stored, others perhaps can. The message is a sentence that says why."""


class StoreRefused(StoreError):  # noqa: N818 (a store error)
    """The archive understood the object and does not want it: to send it again will not help."""
