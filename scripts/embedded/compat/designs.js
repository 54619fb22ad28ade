'use strict';

// The design documents of every open database: read once, compiled once, forgotten when one is written. Their view
// indexes live in `<database>.views/<signature>` and are brought up to date in the background after writes, as
// CouchDB's ken does.

const fs = require('fs');
const path = require('path');
const { HttpError } = require('./http');
const { Sandbox } = require('./javascript');
const { Level } = require('./level');
const { ViewGroup, namesOf, signatureOf } = require('./view-group');
const { ViewIndex } = require('./view-index');

// How long after a write its index is brought up to date.
const WARM_AFTER = 200;

class Design {
  constructor(doc) {
    this.doc = doc;
    this.functions = new Map();
  }

  // The view group; throws when a function in it does not compile.
  get views() {
    this.group = this.group || new ViewGroup(this.doc);
    return this.group;
  }

  // One function of the design document with a realm of its own: {run, limited, api}. `api` is what getRow, send and
  // the others are for the next run, `limited` runs what such a run handed out.
  function(field, name) {
    const source = name === undefined ? this.doc[field] : (this.doc[field] || {})[name];
    if (typeof source !== 'string') {
      const kind = field.replace(/s$/, '');
      throw new HttpError(404, 'not_found', `missing ${kind} function ${name} on design doc ${this.doc._id}`);
    }
    const key = name === undefined ? field : `${field}/${name}`;
    if (!this.functions.has(key)) {
      const api = {};
      // The realm is made once; its functions call what `api` holds at the moment.
      const relay = Object.fromEntries(['start', 'send', 'getRow', 'provides', 'registerType']
        .map(one => [one, (...args) => api[one](...args)]));
      const sandbox = new Sandbox(this.doc._id, this.doc, relay);
      const fn = sandbox.evaluate(source, key);
      const limited = task => sandbox.limited(task);
      this.functions.set(key, { api, limited, run: (...args) => limited(() => fn.apply(this.doc, args)) });
    }
    return this.functions.get(key);
  }
}

class Designs {
  constructor({ memory }) {
    this.memory = memory;
    this.databases = new Map();
  }

  // What is known of the database at `location`.
  at(location) {
    if (!this.databases.has(location)) {
      this.databases.set(location, {
        designs: new Map(), validators: null, indexes: new Map(), timer: null, closed: false
      });
    }
    return this.databases.get(location);
  }

  attach(location, db) {
    this.at(location).db = db;
  }

  get(location, name) {
    const known = this.at(location);
    if (!known.designs.has(name)) {
      const reading = known.db.get('_design/' + name).then(doc => new Design(doc));
      reading.catch(() => {
        if (known.designs.get(name) === reading) {
          known.designs.delete(name);
        }
      });
      known.designs.set(name, reading);
    }
    return known.designs.get(name);
  }

  async all(location) {
    const { rows } = await this.at(location).db.allDocs({ startkey: '_design/', endkey: '_design0' });
    return Promise.all(rows.map(one => this.get(location, one.id.slice('_design/'.length))));
  }

  // The design documents that have a validate_doc_update.
  validators(location) {
    const known = this.at(location);
    if (!known.validators) {
      known.validators = this.all(location).then(designs => designs.filter(one => one.doc.validate_doc_update));
      known.validators.catch(() => { known.validators = null; });
    }
    return known.validators;
  }

  // The view's index, open and up to date with what was written before the call (`update` false: as it is).
  async view(location, designName, viewName, update) {
    const design = await this.get(location, designName);
    if (!namesOf(design.doc).includes(viewName)) {
      throw new HttpError(404, 'not_found', 'missing_named_view');
    }
    const index = await this.index(location, design.views);
    if (update === undefined || update === true) {
      await index.update();
    } else if (update === 'lazy') {
      this.wrote(location, false);
    }
    return { index, view: design.views.view(viewName) };
  }

  async index(location, group) {
    const known = this.at(location);
    if (known.closed) {
      throw new HttpError(404, 'not_found', 'Database does not exist.');
    }
    if (!known.indexes.has(group.signature)) {
      const place = path.join(location + '.views', group.signature);
      const opening = Promise.resolve(this.memory ? undefined : fs.promises.mkdir(place, { recursive: true }))
        .then(() => new ViewIndex(known.db, group, place, this.memory).open());
      opening.catch(() => known.indexes.delete(group.signature));
      known.indexes.set(group.signature, opening);
    }
    return known.indexes.get(group.signature);
  }

  // Hears of every write.
  wrote(location, design) {
    const known = this.at(location);
    if (design) {
      known.designs.clear();
      known.validators = null;
    }
    if (known.db && !known.timer && !known.closed) {
      known.timer = setTimeout(() => {
        known.timer = null;
        this.warm(location).catch(error => {
          if (!known.closed) {
            process.stderr.write(`warming the views of ${location}: ${error.stack}\n`);
          }
        });
      }, WARM_AFTER);
      known.timer.unref();
    }
  }

  async warm(location) {
    const known = this.at(location);
    for (const design of await this.all(location)) {
      if (known.closed) {
        return;
      }
      if (namesOf(design.doc).length && design.doc.language !== 'query' && (design.doc.autoupdate !== false)) {
        let group;
        try {
          group = design.views;
        } catch (error) {
          // Whoever queries this view is told.
          continue;
        }
        await (await this.index(location, group)).update();
      }
    }
  }

  // Removes the indexes that no design document needs any more.
  async cleanup(location) {
    const known = this.at(location);
    const needed = new Set((await this.all(location)).map(design => signatureOf(design.doc)));
    const folder = location + '.views';
    const present = this.memory ? [...known.indexes.keys()] : await fs.promises.readdir(folder).catch(() => []);
    for (const signature of present.filter(one => !needed.has(one))) {
      await this.drop(location, signature);
    }
  }

  async drop(location, signature) {
    const known = this.at(location);
    const open = known.indexes.get(signature);
    known.indexes.delete(signature);
    if (open) {
      await (await open).close();
    }
    const place = path.join(location + '.views', signature);
    await Level.destroy(place, this.memory);
    await fs.promises.rm(place, { recursive: true, force: true });
  }

  // Stops all work on a database; `destroy` removes its indexes too.
  async close(location, destroy) {
    const known = this.databases.get(location);
    if (known) {
      known.closed = true;
      clearTimeout(known.timer);
      // An index that did not open has told whoever asked for it.
      const opened = await Promise.all([...known.indexes.values()].map(one => one.catch(() => null)));
      const indexes = opened.filter(Boolean);
      await Promise.all(indexes.map(index => index.close()));
      if (destroy && this.memory) {
        await Promise.all(indexes.map(index => Level.destroy(index.location, true)));
      }
      this.databases.delete(location);
    }
    if (destroy) {
      await fs.promises.rm(location + '.views', { recursive: true, force: true });
    }
  }
}

module.exports = { Design, Designs };
