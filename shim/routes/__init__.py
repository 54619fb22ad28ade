"""One blueprint per DICOMweb service."""
