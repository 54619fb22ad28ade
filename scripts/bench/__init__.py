"""Measurements beside bare CouchDB and beside Orthanc, always as ratios taken in one run.

    dicouch bench

| module | subject |
|---|---|
| `options` | what can be set on the command line |
| `client` | requests over kept connections, one process a connection, and how long they took |
| `servers`, `orthanc` | the databases, DICOMweb servers and Orthanc, which are compared |
| `files`, `made` | instances and whole archives that are made up |
| `stow`, `cost`, `together`, `wado`, `metadata`, `qido`, `memory` | the parts |
| `queries` | the searches that `qido` measures |
| `report` | the table of results |
"""
