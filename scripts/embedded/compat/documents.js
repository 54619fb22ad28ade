'use strict';

// Documents: ETags, If-None-Match, revisions that must be named, sizes, COPY.

const { randomUUID } = require('crypto');
const { HttpError, MAX_DOCUMENT_SIZE, parseJSON, readBody, route, sendJSON } = require('./http');
const { putMultipart } = require('./multipart');
const openRevs = require('./open-revs');
const { refused, revisionOf, sendWritten, write } = require('./write');

const FLAGS = ['revs', 'revs_info', 'conflicts', 'latest', 'attachments'];

// A PUT that replaces a document checks nothing but the revision; `id` comes from the URL.
function checkSize(doc, length) {
  if (length > MAX_DOCUMENT_SIZE && JSON.stringify(doc).length > MAX_DOCUMENT_SIZE) {
    throw new HttpError(413, 'document_too_large', doc._id || '');
  }
}

async function readDocument(req, res) {
  const body = await readBody(req, res);
  const doc = parseJSON(body.toString('utf8'));
  if (doc === null || typeof doc !== 'object' || Array.isArray(doc)) {
    throw new HttpError(400, 'bad_request', 'Document must be a JSON object');
  }
  return { doc, length: body.length };
}

async function put(req, res, id) {
  if (/^multipart\/related/i.test(req.get('Content-Type') || '')) {
    return putMultipart(req, res, id);
  }
  const { doc, length } = await readDocument(req, res);
  doc._id = id;
  checkSize(doc, length);
  const rev = revisionOf(req, doc);
  if (rev) {
    doc._rev = rev;
  }
  return sendWritten(req, res, await write(req, doc, req.couchQuery.new_edits !== 'false'));
}

async function post(req, res) {
  const { doc, length } = await readDocument(req, res);
  doc._id = doc._id || randomUUID().replace(/-/g, '');
  checkSize(doc, length);
  sendWritten(req, res, await write(req, doc));
}

async function get(req, res, id) {
  const query = req.couchQuery;
  const options = {};
  for (const name of FLAGS) {
    if (query[name] === 'true') {
      options[name] = true;
    }
  }
  if (query.rev) {
    options.rev = query.rev;
  }
  if (query.open_revs) {
    options.open_revs = query.open_revs === 'all' ? 'all' : parseJSON(query.open_revs);
  }
  const asked = Array.isArray(options.open_revs) && options.open_revs.every(rev => /^\d+-/.test(rev))
    ? openRevs.read(req.db, id, options.open_revs, options) : req.db.get(id, options);
  const doc = await asked.catch(error => { throw refused(error); });
  if (Array.isArray(doc) && openRevs.isAsked(req)) {
    await openRevs.send(req, res, doc);
    return;
  }
  if (!Array.isArray(doc)) {
    const etag = `"${doc._rev}"`;
    res.setHeader('ETag', etag);
    if ((req.get('If-None-Match') || '').split(',').some(one => one.trim() === etag)) {
      res.status(304).end();
      return;
    }
  }
  // The id first, for people who read it.
  sendJSON(res, 200, Array.isArray(doc) ? doc : Object.assign({ _id: doc._id, _rev: doc._rev }, doc));
}

async function remove(req, res, id) {
  const rev = revisionOf(req, null);
  if (!rev) {
    await req.db.get(id).catch(error => { throw refused(error); });
    throw new HttpError(409, 'conflict', 'Document update conflict.');
  }
  const result = await write(req, { _id: id, _rev: rev, _deleted: true }).catch(async error => {
    // A revision that never was: CouchDB says "missing" where there is no document at all.
    if (error.status === 409) {
      await req.db.get(id).catch(missing => { throw refused(missing); });
    }
    throw error;
  });
  res.setHeader('ETag', `"${result.rev}"`);
  sendJSON(res, 200, result);
}

async function copy(req, res, id) {
  const destination = req.get('Destination');
  if (!destination) {
    throw new HttpError(400, 'bad_request', 'Destination header is mandatory for COPY.');
  }
  if (/^https?:/i.test(destination)) {
    throw new HttpError(400, 'bad_request', 'Destination URL must be relative.');
  }
  const [path, query] = destination.split('?');
  const options = req.couchQuery.rev ? { rev: req.couchQuery.rev } : {};
  const doc = await req.db.get(id, options).catch(error => { throw refused(error); });
  doc._id = decodeURIComponent(path);
  delete doc._rev;
  const rev = new URLSearchParams(query || '').get('rev');
  if (rev) {
    doc._rev = rev;
  }
  sendWritten(req, res, await write(req, doc));
}

// Each for a plain id, `_design/<name>` and `_local/<name>`; an id with a slash arrives percent-encoded. Repetition is
// written {0,} in these paths: express reads `*` in its own way.
function install(router) {
  const paths = [
    ['/:db/_design/:name', req => '_design/' + req.params.name],
    ['/:db/_local/:name', req => '_local/' + req.params.name],
    ['/:db/:id([^_/][^/]{0,})', req => req.params.id]
  ];
  router.post('/:db', route(post));
  for (const [path, id] of paths) {
    router.get(path, route((req, res) => get(req, res, id(req))));
    router.put(path, route((req, res) => put(req, res, id(req))));
    router.delete(path, route((req, res) => remove(req, res, id(req))));
    router.copy(path, route((req, res) => copy(req, res, id(req))));
  }
}

module.exports = { install };
