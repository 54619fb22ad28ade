"""The CouchDB client, and what is remembered of the database."""
