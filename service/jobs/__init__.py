"""Works through many frames without a server: a folder, a tree, or a study of a DICOMweb archive."""
