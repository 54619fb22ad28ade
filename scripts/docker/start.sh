#!/bin/sh
# Wait for CouchDB, deploy the design documents, and become gunicorn.
set -eu
tries=0
until python -m dicouch.scripts.push_views; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "the database at COUCHDB_URL did not come up within two minutes" >&2; exit 1; }
  sleep 2
done
exec python -m gunicorn --config python:dicouch.server.gunicorn_conf
