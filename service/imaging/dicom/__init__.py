"""Reads frames of ultrasound DICOM objects. All but `structure` needs the extra `dicom`."""
