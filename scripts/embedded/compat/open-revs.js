'use strict';

// `open_revs` as replicators ask for it: multipart/mixed, each revision with its attachments streamed from their files
// (https://docs.couchdb.org/en/stable/replication/protocol.html#fetch-changed-documents).

const { randomUUID } = require('crypto');
const fs = require('fs');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');

// Revisions of a document: [{ok: document} or {missing: revision}]. PouchDB throws where nobody catches it when the latest
// of an unknown one is asked for, which would end the process.
async function read(db, id, revisions, options) {
  const { [id]: unknown = { missing: [] } } = await db.revsDiff({ [id]: revisions });
  const known = revisions.filter(rev => !unknown.missing.includes(rev));
  const found = known.length ? await db.get(id, { ...options, open_revs: known }) : [];
  return [...found, ...revisions.filter(rev => !known.includes(rev)).map(missing => ({ missing }))];
}

function isAsked(req) {
  return Boolean(req.couchQuery.open_revs) && /multipart\/mixed/i.test(req.get('Accept') || '');
}

// The bytes of an attachment, piece by piece: of its file, or what PouchDB has that came inside a document.
async function* bytesOf(req, doc, name) {
  const path = req.attachments.file(doc._attachments[name].digest);
  if (fs.existsSync(path)) {
    yield* fs.createReadStream(path, { highWaterMark: 256 * 1024 });
  } else {
    yield await req.db.getAttachment(doc._id, name, { rev: doc._rev });
  }
}

async function* related(req, doc) {
  const boundary = randomUUID();
  const names = Object.keys(doc._attachments);
  const attachments = Object.fromEntries(names.map(name => {
    const { content_type, digest, length, revpos } = doc._attachments[name];
    return [name, { content_type, digest, length, revpos, follows: true }];
  }));
  yield `Content-Type: multipart/related; boundary="${boundary}"\r\n\r\n--${boundary}\r\n`
    + `Content-Type: application/json\r\n\r\n${JSON.stringify({ ...doc, _attachments: attachments })}`;
  for (const name of names) {
    const { content_type: type, length } = doc._attachments[name];
    yield `\r\n--${boundary}\r\nContent-Disposition: attachment; filename="${encodeURIComponent(name)}"\r\n`
      + `Content-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;
    yield* bytesOf(req, doc, name);
  }
  yield `\r\n--${boundary}--`;
}

// `found` is what PouchDB answers to `open_revs`.
async function send(req, res, found) {
  const boundary = randomUUID();
  async function* pieces() {
    for (const one of found) {
      yield `--${boundary}\r\n`;
      if (one.ok && one.ok._attachments) {
        yield* related(req, one.ok);
      } else {
        yield `Content-Type: application/json${one.ok ? '' : '; error="true"'}\r\n\r\n${JSON.stringify(one.ok || one)}`;
      }
      yield '\r\n';
    }
    yield `--${boundary}--`;
  }
  res.setHeader('Content-Type', `multipart/mixed; boundary="${boundary}"`);
  await pipeline(Readable.from(pieces(), { objectMode: false }), res).catch(error => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') {
      throw error;
    }
  });
}

module.exports = { isAsked, read, send };
