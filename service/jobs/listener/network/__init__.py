"""The DICOM network: the server for scanners, the senders of results, and the check of both directions."""
