'use strict';

// `_list` over a view or over `_all_docs`. getRow() answers at once while leveldb answers later, so rows are read
// ahead: a function that asks for more than is there is run anew with eight times as many. What it sent before is
// dropped, so only the last run counts; a function that stops early never costs the rest of the view.

const { HttpError, readBody, readObject, route } = require('./http');
const { thrown } = require('./javascript');
const { queryAllDocs } = require('./bulk');
const { Provider } = require('./provides');
const { queryOptions } = require('./query-options');
const { requestObject } = require('./request-object');
const { complete, respond } = require('./respond');
const { openView } = require('./views');

const FIRST_PAGE = 100;
const GROWTH = 8;
// A list that says how many rows it wants, by `limit` or `keys`, gets them all at once up to this many.
const AT_ONCE = 1000;
const MORE = Symbol('more rows are needed');

// One run over the rows at hand: {answer, contentType}, or MORE.
function run({ fn, design, head, request, req }, rows, ended) {
  const provider = new Provider(req);
  const chunks = [];
  let start = null;
  let at = 0;
  let short = false;
  Object.assign(fn.api, provider.api(), {
    start: response => { start = start || response || {}; },
    send: chunk => {
      start = start || {};
      chunks.push(typeof chunk === 'string' ? chunk : String(chunk));
    },
    getRow: () => {
      if (at === rows.length && !ended && !short) {
        short = true;
        throw MORE;
      }
      // Should the function go on after that, it finds the end.
      if (at === rows.length) {
        return null;
      }
      const row = rows[at++];
      // A later run must find the rows as they were.
      return ended ? row : structuredClone(row);
    }
  });
  let answer;
  let contentType;
  try {
    answer = fn.run(head, request);
    if (provider.used) {
      let make;
      [make, contentType] = provider.choose();
      answer = fn.limited(() => make.call(design.doc));
    }
  } catch (error) {
    if (!short) {
      throw thrown(error);
    }
  }
  if (short) {
    return MORE;
  }
  const last = complete(typeof answer === 'object' || typeof answer === 'string' ? answer : undefined);
  const response = Object.assign({}, start, { body: chunks.join('') + (last.body === undefined ? '' : last.body) });
  if (!start) {
    Object.assign(response, last);
  }
  return { answer: response, contentType };
}

async function render(call, source, { limit = Infinity, keys }) {
  const known = Math.min(limit, keys ? keys.length : Infinity);
  // One more than there can be, so that the end shows.
  const first = known <= AT_ONCE ? known + 1 : FIRST_PAGE;
  let rows = await source.read(first);
  let ended = rows.length < first;
  for (;;) {
    const result = run(call, rows, ended);
    if (result !== MORE) {
      return result;
    }
    const wanted = rows.length * (GROWTH - 1);
    const more = await source.read(wanted);
    ended = more.length < wanted;
    rows = rows.concat(more);
  }
}

function install(router, { designs }) {
  const list = route(async (req, res) => {
    const { design: designName, list: listName, view: viewName } = req.params;
    const viewDesign = req.params.viewDesign || designName;
    const design = await designs.get(req.couchLocation, designName);
    const fn = design.function('lists', listName);
    const body = req.method === 'POST' && (await readBody(req, res)).length ? await readObject(req, res) : undefined;
    const options = queryOptions(req.couchQuery, body);
    const source = viewName === '_all_docs'
      ? await queryAllDocs(req.db, options)
      : await openView(designs, req, viewDesign, viewName, options);
    try {
      const request = await requestObject(req, res);
      if (body) {
        // A list gets the parsed body, unlike shows and updates.
        request.body = body;
      }
      const { answer, contentType } = await render({ fn, design, head: source.head, request, req }, source, options);
      respond(res, answer, { contentType });
    } finally {
      await source.close();
    }
  });
  for (const path of ['/:db/_design/:design/_list/:list/:view', '/:db/_design/:design/_list/:list/:viewDesign/:view']) {
    router.get(path, list);
    router.post(path, list);
    router.options(path, list);
  }
  router.all('/:db/_design/:design/_list/*', (req, res, next) => {
    next(new HttpError(['GET', 'POST'].includes(req.method) ? 404 : 405, 'list_error', 'Invalid path.'));
  });
}

module.exports = { install };
