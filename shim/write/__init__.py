"""Storing, deleting and fixing instances and their headers."""
