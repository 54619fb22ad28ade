"""The shim: a thin WSGI application that turns DICOMweb requests into CouchDB requests."""
