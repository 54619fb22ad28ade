'use strict';

// `_view`, `_view/<name>/queries`, `_info` of a design document and `_view_cleanup`.

const { HttpError, readBody, readObject, route, sendJSON } = require('./http');
const { queryOptions } = require('./query-options');
const { sendRows } = require('./send-rows');
const { queryView } = require('./view-query');

// Rows read at a time, and rows with documents, which may be large.
const PAGE = 500;
const DOCUMENTS = 50;

// The rows of one view for one query: {head, read(count), close()}.
async function openView(designs, req, designName, viewName, options) {
  const { index, view } = await designs.view(req.couchLocation, designName, viewName, options.update);
  return queryView(index, view, options);
}

// A POSTed body may be empty.
async function options(req, res) {
  const body = req.method === 'POST' && (await readBody(req, res)).length ? await readObject(req, res) : undefined;
  return queryOptions(req.couchQuery, body);
}

function install(router, { designs }) {
  const view = route(async (req, res) => {
    const query = await options(req, res);
    const source = await openView(designs, req, req.params.design, req.params.view, query);
    await sendRows(res, source, query.include_docs ? DOCUMENTS : PAGE);
  });
  router.get('/:db/_design/:design/_view/:view', view);
  router.post('/:db/_design/:design/_view/:view', view);

  router.post('/:db/_design/:design/_view/:view/queries', route(async (req, res) => {
    const { queries } = await readObject(req, res);
    if (!Array.isArray(queries)) {
      throw new HttpError(400, 'bad_request', '`queries` parameter must be an array.');
    }
    const results = [];
    for (const query of queries) {
      const source = await openView(designs, req, req.params.design, req.params.view,
        queryOptions(req.couchQuery, query));
      results.push(Object.assign({}, source.head, { rows: await source.read(Infinity) }));
      await source.close();
    }
    sendJSON(res, 200, { results });
  }));

  router.get('/:db/_design/:design/_info', route(async (req, res) => {
    const design = await designs.get(req.couchLocation, req.params.design);
    const index = await designs.index(req.couchLocation, design.views);
    sendJSON(res, 200, {
      name: req.params.design,
      view_index: {
        signature: design.views.signature, language: 'javascript', update_seq: index.seq,
        updater_running: Boolean(index.running), compact_running: false, waiting_clients: 0, purge_seq: 0,
        updates_pending: { total: (await req.db.info()).update_seq - index.seq }
      }
    });
  }));

  router.post('/:db/_view_cleanup', route(async (req, res) => {
    await designs.cleanup(req.couchLocation);
    sendJSON(res, 202, { ok: true });
  }));
}

module.exports = { install, openView };
