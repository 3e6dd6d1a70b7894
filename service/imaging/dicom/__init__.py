"""Read frames of ultrasound DICOM objects. Every module but `scan` needs the extra `dicom`."""
