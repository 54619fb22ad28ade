"""Searching: from query parameters to the index that is read and the rows of the answer (QIDO-RS, PS3.18 10.6)."""
