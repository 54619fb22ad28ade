'use strict';

// PUT of multipart/related as CouchDB documents it: the document first, its `_attachments` marked `follows`, then the
// parts in that order, without names. Parts go to files as they come, so memory does not grow with them.

const multiparty = require('multiparty');
const { HttpError, MAX_DOCUMENT_SIZE, parseJSON } = require('./http');
const { revisionOf, sendWritten, write } = require('./write');

async function readJSONPart(part, id) {
  const chunks = [];
  let length = 0;
  for await (const chunk of part) {
    length += chunk.length;
    if (length > MAX_DOCUMENT_SIZE) {
      throw new HttpError(413, 'document_too_large', id);
    }
    chunks.push(chunk);
  }
  const doc = parseJSON(Buffer.concat(chunks).toString('utf8'));
  if (doc === null || typeof doc !== 'object' || Array.isArray(doc)) {
    throw new HttpError(400, 'bad_request', 'Document must be a JSON object');
  }
  return doc;
}

function fileNameOf(part) {
  const found = /filename="((?:[^"\\]|\\.)*)"/i.exec(part.headers['content-disposition'] || '');
  return found && found[1].replace(/\\(.)/g, '$1');
}

// Checks what arrived against what the document announced, and makes it the attachment's entry.
function settle(name, announced, received, revpos) {
  if (announced.length !== undefined && announced.length !== received.length) {
    throw new HttpError(400, 'bad_request',
      `Attachment ${name}: ${announced.length} bytes announced, ${received.length} received`);
  }
  if (announced.digest && announced.digest.startsWith('md5-') && announced.digest !== received.digest) {
    throw new HttpError(400, 'content_md5_mismatch',
      `Attachment ${name}: ${announced.digest} announced, ${received.digest} received`);
  }
  return {
    content_type: announced.content_type || 'application/octet-stream',
    digest: received.digest, length: received.length, revpos, stub: true
  };
}

// Calls `onPart` for one part after the other; resolves at the closing delimiter.
function eachPart(req, onPart) {
  return new Promise((resolve, reject) => {
    const form = new multiparty.Form();
    let work = Promise.resolve();
    const fail = error => {
      req.unpipe(form);
      // The client writes its whole request before it reads an answer.
      req.resume();
      reject(error);
    };
    form.on('part', part => {
      // Its error is the form's, which rejects.
      part.on('error', () => undefined);
      work = work.then(() => onPart(part));
      work.catch(fail);
    });
    form.on('error', error => {
      fail(new HttpError(error.status || 400, 'bad_request', `multipart/related: ${error.message}`));
    });
    form.on('close', () => work.then(resolve, reject));
    form.parse(req);
  });
}

async function putMultipart(req, res, id) {
  const received = new Map();
  let doc;
  let expected = [];
  try {
    await eachPart(req, async part => {
      if (!doc) {
        doc = await readJSONPart(part, id);
        expected = Object.keys(doc._attachments || {}).filter(name => doc._attachments[name].follows);
        return;
      }
      const named = fileNameOf(part);
      const name = named && expected.includes(named) ? named : expected.find(one => !received.has(one));
      if (name === undefined) {
        throw new HttpError(400, 'bad_request', 'More parts than attachments that follow');
      }
      received.set(name, await req.attachments.receive(part));
    });
    if (!doc) {
      throw new HttpError(400, 'bad_request', 'multipart/related without a document');
    }
    const missing = expected.find(name => !received.has(name));
    if (missing !== undefined) {
      throw new HttpError(400, 'bad_request', `Attachment ${missing} was announced and did not follow`);
    }
    doc._id = id;
    const newEdits = req.couchQuery.new_edits !== 'false';
    const rev = revisionOf(req, doc);
    if (rev) {
      doc._rev = rev;
    }
    const generation = rev ? parseInt(rev, 10) + (newEdits ? 1 : 0) : 1;
    for (const name of expected) {
      doc._attachments[name] = settle(name, doc._attachments[name], received.get(name), generation);
    }
    sendWritten(req, res, await write(req, doc, newEdits));
  } finally {
    await Promise.all([...received.values()].map(one => req.attachments.release(one.digest)));
  }
}

module.exports = { putMultipart };
