"""Running searches (QIDO-RS, PS3.18 10.6)."""
