"""DIMSE with the tools of DCMTK, on each database."""
