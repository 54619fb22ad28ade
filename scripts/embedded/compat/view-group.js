'use strict';

// The views of one design document, compiled. They share one index, as in CouchDB: its signature is made of everything
// that the index depends on, so an edited list or show keeps it and two documents with the same views share it.

const crypto = require('crypto');
const { encodeKey } = require('./collation');
const { HttpError } = require('./http');
const { Sandbox, TIME_LIMIT, freeze } = require('./javascript');
const { reducer } = require('./reduce');

function namesOf(designDocument) {
  const views = designDocument.views || {};
  return Object.keys(views).filter(name => name !== 'lib' && views[name] && typeof views[name].map === 'string').sort();
}

function signatureOf(designDocument) {
  const views = designDocument.views || {};
  const parts = namesOf(designDocument).map(name => [name, views[name].map, views[name].reduce, views[name].options]);
  return crypto.createHash('md5')
    .update(JSON.stringify([parts, views.lib, designDocument.options, designDocument.language])).digest('hex');
}

class ViewGroup {
  constructor(designDocument) {
    const views = designDocument.views || {};
    this.id = designDocument._id;
    this.signature = signatureOf(designDocument);
    this.includeDesign = Boolean(designDocument.options && designDocument.options.include_design);
    this.sandbox = new Sandbox(this.id, { views: { lib: views.lib } }, {
      emit: (key, value) => this.emit(key, value)
    });
    this.rows = [];
    this.views = namesOf(designDocument).map((name, number) => {
      // CouchDB reads `collation` from the design document's options as well as from the view's own.
      const options = Object.assign({}, designDocument.options, views[name].options);
      return {
        name,
        number,
        raw: options.collation === 'raw',
        map: this.sandbox.evaluate(views[name].map, `views/${name}/map`),
        reduce: views[name].reduce && reducer(views[name].reduce,
          source => this.sandbox.evaluate(source, `views/${name}/reduce`))
      };
    });
  }

  view(name) {
    const view = this.views.find(one => one.name === name);
    if (!view) {
      throw new HttpError(404, 'not_found', 'missing_named_view');
    }
    return view;
  }

  emit(key, value) {
    // Through JSON, as everything that leaves a CouchDB query server: dates become strings, undefined becomes null.
    const row = JSON.stringify([key === undefined ? null : key, value === undefined ? null : value]);
    this.rows.push([encodeKey(typeof key === 'object' ? JSON.parse(row)[0] : key, this.raw), row]);
  }

  // What documents emit: for each of them, for each view, the list of [encoded key, JSON of [key, value]].
  map(docs) {
    const emitted = [];
    while (emitted.length < docs.length) {
      const doc = docs[emitted.length];
      let begun = Date.now();
      try {
        this.sandbox.limited(() => {
          while (emitted.length < docs.length) {
            begun = Date.now();
            emitted.push(this.mapOne(freeze(docs[emitted.length])));
          }
        });
      } catch (error) {
        // The limit is for one document, not for all of them together.
        if (Date.now() - begun >= TIME_LIMIT * 0.9) {
          this.complain(docs[emitted.length] || doc, error);
          emitted.push(this.views.map(() => []));
        }
      }
    }
    return emitted;
  }

  mapOne(doc) {
    return this.views.map(view => {
      this.rows = [];
      this.raw = view.raw;
      try {
        view.map(doc);
      } catch (error) {
        this.complain(doc, error, view);
        return [];
      }
      return this.rows;
    });
  }

  complain(doc, error, view) {
    const what = view ? `${this.id}: view ${view.name}` : this.id;
    process.stderr.write(`${what} failed on ${doc._id}: ${error && error.stack || error}\n`);
  }
}

module.exports = { ViewGroup, namesOf, signatureOf };
