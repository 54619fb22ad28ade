#!/bin/sh
# Wait for CouchDB, deploy the design documents, and become gunicorn.
set -eu
# Any password: in a URL some characters have to be written in another way.
if [ -n "${COUCHDB_PASSWORD:-}" ]; then
  COUCHDB_URL=$(python -c 'import os
from dicouch.scripts.connection import with_credentials
print(with_credentials(os.environ["COUCHDB_URL"], (os.environ["COUCHDB_USER"], os.environ["COUCHDB_PASSWORD"])))')
  export COUCHDB_URL
fi
tries=0
until dicouch push-views; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "the database at COUCHDB_URL did not come up within two minutes" >&2; exit 1; }
  sleep 2
done
exec python -m gunicorn --config python:dicouch.server.gunicorn_conf
