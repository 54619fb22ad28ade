"""Retrieving: instances, metadata, frames and renderings of what is stored (WADO-RS, PS3.18 10.4)."""
