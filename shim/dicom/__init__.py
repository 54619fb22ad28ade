"""A DICOM library that knows neither Flask nor CouchDB: Part 10 files, pixels, media types."""
