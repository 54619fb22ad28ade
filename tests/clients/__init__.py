"""Clients of others, each used as its own documentation says, through a running server (docs/clients.md)."""
