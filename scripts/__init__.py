"""Commands: deploy the design documents, run the server, load files, measure."""
