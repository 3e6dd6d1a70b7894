"""Gives results back as DICOM, in the patient and study of their source; needs the extra `dicom`."""
