'use strict';

// `_bulk_docs`, `_bulk_get`, `_all_docs` and its `queries`.

const { randomUUID } = require('crypto');
const { HttpError, MAX_DOCUMENT_SIZE, readBody, readObject, route, sendJSON } = require('./http');
const openRevs = require('./open-revs');
const { queryOptions } = require('./query-options');
const { readDocuments } = require('./read-documents');
const { sendResults, sendRows } = require('./send-rows');
const { context, refused } = require('./write');

// Rows read at a time, and rows with documents, which may be large.
const PAGE = 500;
const DOCUMENTS = 50;

async function bulkDocs(req, res) {
  const body = await readObject(req, res);
  if (!Array.isArray(body.docs)) {
    throw new HttpError(400, 'bad_request', body.docs === undefined
      ? "POST body must include `docs` parameter." : '`docs` parameter must be an array.');
  }
  const large = (await readBody(req, res)).length > MAX_DOCUMENT_SIZE;
  for (const doc of body.docs) {
    if (doc === null || typeof doc !== 'object' || Array.isArray(doc)) {
      throw new HttpError(400, 'bad_request', 'Document must be a JSON object');
    }
    doc._id = doc._id === undefined ? randomUUID().replace(/-/g, '') : doc._id;
    if (large && JSON.stringify(doc).length > MAX_DOCUMENT_SIZE) {
      throw new HttpError(413, 'document_too_large', doc._id);
    }
    if (typeof doc._id === 'string' && doc._id.startsWith('_design/') && !doc._deleted) {
      req.checkDesign(doc);
    }
  }
  const options = Object.assign({ new_edits: body.new_edits !== false }, context(req));
  const results = await req.db.bulkDocs({ docs: body.docs }, options).catch(error => { throw refused(error); });
  sendJSON(res, 201, results.map(one => {
    if (one.error) {
      const { error, reason } = refused(one);
      return { id: one.id, error, reason };
    }
    return one;
  }));
}

// Revisions as replicators ask for them.
async function bulkGet(req, res) {
  const { docs } = await readObject(req, res);
  if (!Array.isArray(docs)) {
    throw new HttpError(400, 'bad_request', "Missing JSON list of 'docs'.");
  }
  const options = Object.fromEntries(['revs', 'latest', 'attachments'].map(name => [name, req.couchQuery[name] === 'true']));
  const results = [];
  for (const { id, rev } of docs) {
    const asked = rev === undefined ? req.db.get(String(id), options).then(ok => [{ ok }])
      : openRevs.read(req.db, String(id), [rev], options);
    const found = await asked.catch(error => [{ problem: refused(error) }]);
    results.push({
      id,
      docs: found.map(({ ok, missing, problem }) => ok ? { ok } : {
        error: { id, rev: missing || rev, error: problem ? problem.error : 'not_found', reason: problem ? problem.reason : 'missing' }
      })
    });
  }
  sendJSON(res, 200, { results });
}

// `_all_docs` as a source of rows {id, key, value, doc?}: {head, read(count), close()}.
async function queryAllDocs(db, options) {
  const { doc_count: total, update_seq: seq } = await db.info();
  const head = { total_rows: total, offset: options.skip || 0 };
  if (options.update_seq) {
    head.update_seq = seq;
  }
  const close = async () => undefined;
  const { include_docs, conflicts, attachments } = options;
  if (options.keys) {
    const keys = (options.descending ? options.keys.slice().reverse() : options.keys)
      .slice(options.skip || 0, options.limit === undefined ? undefined : (options.skip || 0) + options.limit);
    let at = 0;
    return {
      head,
      close,
      async read(count) {
        const page = keys.slice(at, at + count);
        at += page.length;
        return rowsOf(db, page, options);
      }
    };
  }
  const range = { descending: options.descending, include_docs, conflicts, attachments };
  for (const name of ['startkey', 'endkey', 'key', 'inclusive_end']) {
    if (options[name] !== undefined) {
      range[name] = options[name];
    }
  }
  let skip = options.skip || 0;
  let left = options.limit === undefined ? Infinity : options.limit;
  let last;
  return {
    head,
    close,
    async read(count) {
      const limit = Math.min(count, left, Number.MAX_SAFE_INTEGER - 1);
      if (limit === 0) {
        return [];
      }
      // A further page begins at the row before it, which may have been deleted meanwhile.
      const wanted = last === undefined ? limit : limit + 1;
      const { rows } = await db.allDocs(Object.assign({}, range, { skip, limit: wanted }));
      const page = (rows.length && rows[0].id === last ? rows.slice(1) : rows).slice(0, limit);
      left = page.length < limit || range.key !== undefined ? 0 : left - page.length;
      if (page.length) {
        last = range.startkey = page[page.length - 1].id;
        skip = 0;
      }
      return page;
    }
  };
}

async function rowsOf(db, keys, { include_docs, conflicts, attachments }) {
  const docs = await readDocuments(db, keys.map(String), { conflicts, attachments: include_docs && attachments });
  return Promise.all(keys.map(async (key, i) => {
    const doc = docs[i];
    if (!doc) {
      // Deleted or never there.
      const { rows: [row] } = await db.allDocs({ keys: [String(key)] });
      return row.value && row.value.deleted
        ? Object.assign({ id: key, key, value: row.value }, include_docs ? { doc: null } : {})
        : { key, error: 'not_found' };
    }
    return Object.assign({ id: key, key, value: { rev: doc._rev } }, include_docs ? { doc } : {});
  }));
}

async function allDocs(req, res) {
  const body = req.method === 'POST' ? await readObject(req, res) : undefined;
  const options = queryOptions(req.couchQuery, body);
  await sendRows(res, await queryAllDocs(req.db, options), options.include_docs ? DOCUMENTS : PAGE);
}

// Several queries of `_all_docs`, one after the other.
async function allDocsQueries(req, res) {
  const { queries } = await readObject(req, res);
  if (!Array.isArray(queries)) {
    throw new HttpError(400, 'bad_request', '`queries` parameter must be an array.');
  }
  const options = queries.map(one => queryOptions(req.couchQuery, one));
  const sources = [];
  for (const one of options) {
    sources.push(await queryAllDocs(req.db, one));
  }
  await sendResults(res, sources, options.some(one => one.include_docs) ? DOCUMENTS : PAGE);
}

function install(router) {
  router.post('/:db/_bulk_docs', route(bulkDocs));
  router.post('/:db/_bulk_get', route(bulkGet));
  router.get('/:db/_all_docs', route(allDocs));
  router.post('/:db/_all_docs', route(allDocs));
  router.post('/:db/_all_docs/queries', route(allDocsQueries));
}

module.exports = { install, queryAllDocs };
