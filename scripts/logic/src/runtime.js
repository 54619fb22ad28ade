'use strict';

// The functions of the design document as CouchDB's query server runs them: each is given emit, getRow, send and require.

const { lists, maps, modules, reduces } = require('registry');

const REQUIRE = /\brequire\('([^']+)'\)/g;

/** What a view emits for a document: [{ key, value }]. */
function map(view, doc) {
  const rows = [];
  maps[view](require, (key, value) => rows.push({ key, value }))(doc);
  return rows;
}

/** What a list function answers for rows of a view, decoded. query: as lib/search/search has it. */
function list(name, rows, query) {
  let at = 0;
  let sent = '';
  const getRow = () => (at < rows.length ? rows[at++] : null);
  const send = text => {
    sent += text;
  };
  lists[name](require, { getRow, send, start() {}, provides() {} })({}, { method: 'GET', query: { q: JSON.stringify(query) } });
  return JSON.parse(sent);
}

// The modules that a function needs, and those that these need.
function needed(text, found = new Set()) {
  for (const [, name] of text.matchAll(REQUIRE)) {
    if (!found.has(name)) {
      found.add(name);
      needed(String(modules[name]), found);
    }
  }
  return found;
}

// A map function with the modules that it requires: PouchDB has no require.
function standalone(view) {
  const text = String(maps[view]);
  const own = [...needed(text)].map(name => `${JSON.stringify(name)}: ${modules[name]}`);
  return `(function () {
var modules = {${own.join(',\n')}};
var loaded = {};
function require(name) {
  if (!loaded[name]) {
    var module = { exports: {} };
    loaded[name] = module;
    modules[name](require, module.exports, module);
  }
  return loaded[name].exports;
}
return (${text})(require, emit);
}())`;
}

/** The views as a design document for a PouchDB, without `_id`: each map function carries its modules. */
function designDocument() {
  const views = Object.keys(maps).map(name => [name, { map: standalone(name), ...(reduces[name] && { reduce: reduces[name] }) }]);
  return { language: 'javascript', views: Object.fromEntries(views) };
}

module.exports = { designDocument, list, map };
