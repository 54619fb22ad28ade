'use strict';

// Where a search reads: rows of the design document's views, over plain documents or over a PouchDB.

const runtime = require('logic/runtime');

const TYPES = ['null', 'boolean', 'number', 'string', 'array'];

function typeOf(value) {
  return value === null || value === undefined ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

// The order of keys in an index. Texts compare by code unit: the views ask CouchDB for raw collation.
function collate(a, b) {
  const [left, right] = [typeOf(a), typeOf(b)];
  if (left !== right) {
    return TYPES.indexOf(left) - TYPES.indexOf(right);
  }
  if (left !== 'array') {
    return a === b || left === 'null' ? 0 : a < b ? -1 : 1;
  }
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const order = collate(a[i], b[i]);
    if (order) {
      return order;
    }
  }
  return a.length - b.length;
}

/** An index over documents: rows as CouchDB gives them. */
function index(view, docs) {
  const rows = docs.flatMap(doc => runtime.map(view, doc).map(({ key, value }) => ({ id: doc._id, key, value })));
  return rows.sort((a, b) => collate(a.key, b.key) || collate(a.id, b.id));
}

/** Plain documents; their indexes are made when they are asked for. */
class Documents {
  constructor(docs) {
    this.byId = new Map(docs.map(doc => [doc._id, doc]));
    this.indexes = {};
  }

  async rows(view, { keys, startkey, endkey, descending = false, include_docs = false } = {}) {
    const all = this.indexes[view] = this.indexes[view] || index(view, [...this.byId.values()]);
    const [low, high] = descending ? [endkey, startkey] : [startkey, endkey];
    let found;
    if (keys) {
      found = keys.flatMap(key => all.filter(row => collate(row.key, key) === 0));
    } else {
      found = all.filter(({ key }) => (low === undefined || collate(low, key) <= 0) && (high === undefined || collate(key, high) <= 0));
      found = descending ? found.reverse() : found;
    }
    return include_docs ? found.map(row => ({ ...row, doc: this.byId.get(row.id) })) : found;
  }

  async docs(ids) {
    return ids.filter(id => this.byId.has(id)).map(id => ({ id, key: id, value: {}, doc: this.byId.get(id) }));
  }
}

const FEW = 3;
const DESIGN = '_design/dicouch-logic';

/** A PouchDB whose views it keeps, as a design document of its own: CouchDB's requires what PouchDB does not have. */
class Pouch {
  constructor(db) {
    this.db = db;
    this.ready = null;
  }

  async install() {
    const wanted = { _id: DESIGN, ...runtime.designDocument() };
    const stored = await this.db.get(DESIGN).catch(problem => {
      if (problem.status !== 404) {
        throw problem;
      }
      return {};
    });
    if (JSON.stringify(stored.views) !== JSON.stringify(wanted.views)) {
      await this.db.put(stored._rev ? { ...wanted, _rev: stored._rev } : wanted);
    }
  }

  async rows(view, options = {}) {
    // Whoever failed may be asked again.
    this.ready = this.ready || this.install().catch(problem => {
      this.ready = null;
      throw problem;
    });
    await this.ready;
    const { keys, ...others } = options;
    if (!keys || keys.length <= FEW) {
      return this.ask(view, options);
    }
    // PouchDB reads each key by itself: one range that has them all is faster.
    const sorted = [...keys].sort();
    const found = new Map(keys.map(key => [key, []]));
    for (const row of await this.ask(view, { ...others, startkey: sorted[0], endkey: sorted[sorted.length - 1] })) {
      if (found.has(row.key)) {
        found.get(row.key).push(row);
      }
    }
    return keys.flatMap(key => found.get(key));
  }

  async ask(view, options) {
    return (await this.db.query(`${DESIGN.slice(8)}/${view}`, { reduce: false, ...options })).rows.filter(row => row.id);
  }

  async docs(ids) {
    return (await this.db.allDocs({ keys: ids, include_docs: true })).rows.filter(row => row.doc);
  }
}

const pouches = new WeakMap();

/** What a search reads: an array of documents, a PouchDB, or anything with `rows` and `docs`. */
function sourceOf(given) {
  if (Array.isArray(given)) {
    return new Documents(given);
  }
  if (typeof given.query === 'function' && typeof given.allDocs === 'function') {
    if (!pouches.has(given)) {
      pouches.set(given, new Pouch(given));
    }
    return pouches.get(given);
  }
  return given;
}

module.exports = { Documents, Pouch, collate, index, sourceOf };
