"""Storing: from a request body to documents and bytes, and what the client is told (STOW-RS, PS3.18 10.5)."""
