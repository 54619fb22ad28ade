"""Bringing in the databases of SlicerChronicle and of dcmjs' dicomweb-server; the command is in `main`."""
