"""CouchDB answers in, what the routes send out."""
