'use strict';

// Attachments: streamed from and to files, with Range, ETag and If-Match.

const fs = require('fs');
const { pipeline } = require('stream/promises');
const { HttpError, route, sendJSON } = require('./http');
const { refused, revisionOf, sendWritten, write } = require('./write');

// One byte range as CouchDB serves it: [first, last], or null for the whole; throws a 416 when it starts past the end.
// Malformed ranges, several ranges and `0-` mean the whole; a range that ends before it starts is a 416 too.
function rangeOf(header, length) {
  const found = /^bytes=(\d*)-(\d*)$/.exec((header || '').trim());
  if (!found || (!found[1] && !found[2])) {
    return null;
  }
  let first;
  let last = length - 1;
  if (!found[1]) {
    first = Math.max(0, length - Number(found[2]));
  } else {
    first = Number(found[1]);
    last = found[2] ? Math.min(Number(found[2]), last) : last;
  }
  if (first > last) {
    throw new HttpError(416, 'requested_range_not_satisfiable', 'Requested range not satisfiable');
  }
  return first === 0 && last === length - 1 && !found[2] ? null : [first, last];
}

async function get(req, res, id, name) {
  const options = req.couchQuery.rev ? { rev: req.couchQuery.rev } : {};
  const doc = await req.db.get(id, options).catch(error => { throw refused(error); });
  const attachment = doc._attachments && Object.hasOwn(doc._attachments, name) ? doc._attachments[name] : undefined;
  if (!attachment) {
    throw new HttpError(404, 'not_found', 'Document is missing attachment');
  }
  const digest = attachment.digest.replace(/^md5-/, '');
  const etag = `"${digest}"`;
  res.setHeader('ETag', etag);
  res.setHeader('Content-MD5', digest);
  res.setHeader('Cache-Control', 'must-revalidate');
  res.setHeader('Accept-Ranges', 'bytes');
  if ((req.get('If-None-Match') || '').split(',').some(one => one.trim() === etag)) {
    res.status(304).end();
    return;
  }
  const range = rangeOf(req.get('Range'), attachment.length);
  const [first, last] = range || [0, attachment.length - 1];
  res.status(range ? 206 : 200);
  res.setHeader('Content-Type', attachment.content_type);
  res.setHeader('Content-Length', last - first + 1);
  if (range) {
    res.setHeader('Content-Range', `bytes ${first}-${last}/${attachment.length}`);
  }
  if (req.method === 'HEAD' || attachment.length === 0) {
    res.end();
    return;
  }
  let file;
  try {
    file = await fs.promises.open(req.attachments.file(attachment.digest));
  } catch (error) {
    if (error.code !== 'ENOENT') {
      throw error;
    }
    // It came inside a document or by replication: PouchDB has it.
    const bytes = await req.db.getAttachment(id, name, options);
    res.end(bytes.subarray(first, last + 1));
    return;
  }
  await pipeline(file.createReadStream({ start: first, end: last, highWaterMark: 256 * 1024 }), res).catch(error => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') {
      throw error;
    }
  });
}

// The document that an attachment is put to or removed from, at the revision that the request names.
async function current(req, id, rev) {
  if (rev) {
    const doc = await req.db.get(id).catch(error => { throw error.status === 404 ? conflict() : refused(error); });
    if (doc._rev === rev) {
      return doc;
    }
    const leaf = await req.db.get(id, { rev }).catch(() => { throw conflict(); });
    return leaf;
  }
  const doc = await req.db.get(id).catch(error => {
    if (error.status !== 404) {
      throw refused(error);
    }
    return null;
  });
  if (doc) {
    throw conflict();
  }
  return { _id: id };
}

function conflict() {
  return new HttpError(409, 'conflict', 'Document update conflict.');
}

async function put(req, res, id, name) {
  const received = await req.attachments.receive(req);
  try {
    const rev = revisionOf(req, null);
    const doc = await current(req, id, rev);
    doc._attachments = Object.assign({}, doc._attachments, {
      [name]: {
        content_type: req.get('Content-Type') || 'application/octet-stream',
        digest: received.digest, length: received.length, revpos: rev ? parseInt(rev, 10) + 1 : 1, stub: true
      }
    });
    sendWritten(req, res, await write(req, doc));
  } finally {
    await req.attachments.release(received.digest);
  }
}

async function remove(req, res, id, name) {
  const rev = revisionOf(req, null);
  if (!rev) {
    throw conflict();
  }
  const doc = await current(req, id, rev);
  if (!doc._attachments || !Object.hasOwn(doc._attachments, name)) {
    throw new HttpError(404, 'not_found', 'Document is missing attachment');
  }
  delete doc._attachments[name];
  sendJSON(res, 200, await write(req, doc));
}

// Repetition is written {0,} in these paths: express reads `*` in its own way.
function install(router) {
  const paths = [
    ['/:db/_design/:name/:attachment([^_].{0,})', req => '_design/' + req.params.name],
    ['/:db/:id([^_/][^/]{0,})/:attachment(*)', req => req.params.id]
  ];
  for (const [path, id] of paths) {
    router.get(path, route((req, res) => get(req, res, id(req), req.params.attachment)));
    router.put(path, route((req, res) => put(req, res, id(req), req.params.attachment)));
    router.delete(path, route((req, res) => remove(req, res, id(req), req.params.attachment)));
  }
}

module.exports = { install };
