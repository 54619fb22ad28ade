'use strict';

// Writing one document: options of the request, CouchDB's errors, the answer.

const { HttpError, sendJSON } = require('./http');

const NAMES = { doc_validation: 400, invalid_id: 400, missing_id: 412 };

// PouchDB's error as CouchDB would answer it.
function refused(error) {
  if (error instanceof HttpError) {
    return error;
  }
  if (error.status === 409) {
    return new HttpError(409, 'conflict', 'Document update conflict.');
  }
  if (/Bad special document member/.test(error.message)) {
    return new HttpError(400, 'doc_validation', error.message);
  }
  return new HttpError(NAMES[error.name] || error.status || 500, error.name || 'unknown_error',
    error.reason || error.message || String(error));
}

function context(req) {
  return { userCtx: (req.couchSession || {}).userCtx, secObj: req.couchSecurityObj };
}

// Writes `doc` and gives {ok, id, rev}; throws an HttpError when it is refused.
async function write(req, doc, newEdits = true) {
  if (doc._id.startsWith('_design/') && !doc._deleted) {
    req.checkDesign(doc);
  }
  let results;
  try {
    results = await req.db.bulkDocs({ docs: [doc] }, Object.assign({ new_edits: newEdits }, context(req)));
  } catch (error) {
    throw refused(error);
  }
  const [result] = results;
  if (result && result.error) {
    throw refused(result);
  }
  return { ok: true, id: doc._id, rev: result ? result.rev : doc._rev };
}

// The revision that a request names: `?rev=`, `If-Match`, or the document's own.
function revisionOf(req, doc) {
  const match = req.get('If-Match');
  const named = req.couchQuery.rev || (match && match.replace(/^W\//, '').replace(/^"|"$/g, ''));
  if (named && doc && doc._rev && doc._rev !== named) {
    throw new HttpError(400, 'bad_request', 'Document rev from request body and query string have different values');
  }
  return named || (doc && doc._rev) || undefined;
}

function sendWritten(req, res, result) {
  res.setHeader('ETag', `"${result.rev}"`);
  res.setHeader('Location', `${req.protocol}://${req.get('Host')}/${encodeURIComponent(req.couchDatabase)}/`
    + result.id.split('/').map(encodeURIComponent).join('/'));
  sendJSON(res, 201, result);
}

module.exports = { context, refused, revisionOf, sendWritten, write };
