"""DICOMweb request in, CouchDB request(s) out: pure functions, no I/O."""
