"""Webhooks: events that are sent to whom the operator's file names."""
