"""Media types: what a client accepts, and bodies of many parts (PS3.18 8.6, 8.7)."""
