# CouchDB's official image with the settings of couchdb.ini. They are copied, not mounted: the image's entry point sets
# the owner of everything in /opt/couchdb and ends without a word on a file that it cannot change.
FROM couchdb:3.5
COPY --chown=couchdb:couchdb couchdb.ini /opt/couchdb/etc/local.d/dicouch.ini
