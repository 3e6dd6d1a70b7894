"""Crops for curation: the sector of each named frame as a picture without DICOM attributes."""
