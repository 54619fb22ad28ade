'use strict';

// Replication as CouchDB 3 offers it: documents of `_replicator`, their states at `/_scheduler/docs`, and `_replicate`.
// PouchDB copies. express-pouchdb's own replicator has no selector, sends no headers, and begins what is complete again.

const { randomUUID } = require('crypto');
const { getOrCreateDB } = require('express-pouchdb/lib/create-or-delete-dbs');
const { HttpError, readObject, route, sendJSON } = require('./http');

const DATABASE = '_replicator';
// Documents of a batch are in memory with their attachments, and as base64 where they go to another server.
const BATCH = { batch_size: 4, batches_limit: 1 };
const DONE = ['completed', 'failed'];
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);

// What makes a replication; all else in its document says how it goes.
function definitionOf(doc) {
  return JSON.stringify(Object.keys(doc).filter(name => !/^_(?:rev|replication_)/.test(name)).sort()
    .map(name => [name, doc[name]]));
}

// What of an endpoint may be shown: no user, no password.
function shown(endpoint) {
  const text = typeof endpoint === 'string' ? endpoint : String((endpoint || {}).url);
  return text.replace(/\/\/[^/@]*@/, '//');
}

function authorizationOf({ headers = {}, auth = {} }, url) {
  const { username, password } = auth.basic || { username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password) };
  return username ? { Authorization: 'Basic ' + Buffer.from(`${username}:${password}`).toString('base64'), ...headers }
    : headers;
}

class Replicator {
  constructor({ PouchDB, load }) {
    Object.assign(this, { PouchDB, load, jobs: new Map(), temporary: new Map(), port: undefined });
  }

  // A database here, or one behind HTTP.
  async open(endpoint, create) {
    const { url: text, ...rest } = typeof endpoint === 'string' ? { url: endpoint } : endpoint || {};
    if (typeof text !== 'string' || !text) {
      throw new HttpError(400, 'bad_request', 'source and target are URLs, or objects with a url');
    }
    if (!/^https?:\/\//.test(text)) {
      return this.load(text, create);
    }
    const url = new URL(text);
    if (LOOPBACK.has(url.hostname) && Number(url.port) === this.port) {
      return this.load(decodeURIComponent(url.pathname.replace(/^\/|\/$/g, '')), create);
    }
    const own = authorizationOf(rest, url);
    url.username = url.password = '';
    return new this.PouchDB(url.href.replace(/\/$/, ''), {
      skip_setup: !create,
      fetch: (address, options) => {
        Object.entries(own).forEach(([name, value]) => options.headers.set(name, value));
        return this.PouchDB.fetch(address, options);
      }
    });
  }

  // Begins what `doc` says; resolves when it is complete, with PouchDB's result. `job` tells how it goes meanwhile.
  async run(doc, job, retry) {
    const [source, target] = [await this.open(doc.source), await this.open(doc.target, doc.create_target)];
    if (job.cancelled) {
      return null;
    }
    const options = { ...BATCH, live: Boolean(doc.continuous), retry };
    for (const name of ['selector', 'doc_ids', 'filter', 'query_params']) {
      if (doc[name] !== undefined) {
        options[name] = doc[name];
      }
    }
    if (doc.since_seq !== undefined) {
      options.since = doc.since_seq;
    }
    job.replication = this.PouchDB.replicate(source, target, options);
    job.state = 'running';
    job.replication.on('change', info => {
      job.info = info;
      job.errors = 0;
      job.problem = undefined;
      job.state = 'running';
      delete job.info.docs;
    });
    // Of a failure it waits, and tries again.
    job.replication.on('paused', problem => {
      if (problem) {
        job.errors += 1;
        job.problem = problem.reason || problem.message || String(problem);
        job.state = 'crashing';
      }
    });
    job.replication.on('active', () => { job.state = 'running'; });
    return job.replication;
  }

  newJob(doc) {
    return {
      id: randomUUID().replace(/-/g, ''), definition: definitionOf(doc), started: new Date().toISOString(), doc,
      errors: 0, info: null, problem: undefined, state: 'initializing', cancelled: false, replication: undefined
    };
  }

  end(job) {
    job.cancelled = true;
    if (job.replication) {
      job.replication.cancel();
    }
  }

  // A document of `_replicator` was written or deleted.
  changed(doc) {
    if (doc._id.startsWith('_design/')) {
      return;
    }
    const known = this.jobs.get(doc._id);
    // One that was deleted and written again is begun anew; of both the feed may tell the last only.
    const isAnew = known && DONE.includes(known.state) && doc._replication_state === undefined;
    if (known && !isAnew && !doc._deleted && known.definition === definitionOf(doc)) {
      return;
    }
    if (known) {
      this.end(known);
      this.jobs.delete(doc._id);
    }
    if (doc._deleted) {
      return;
    }
    const job = this.newJob(doc);
    this.jobs.set(doc._id, job);
    if (DONE.includes(doc._replication_state)) {
      job.state = doc._replication_state;
      job.info = doc._replication_stats || null;
      job.problem = doc._replication_state_reason;
      return;
    }
    this.attempt(doc, job, 1000);
  }

  // What cannot even be opened is tried again, as a database may not be there yet.
  attempt(doc, job, pause) {
    this.run(doc, job, true).then(info => this.finish(doc, job, 'completed', info), problem => {
      job.errors += 1;
      job.problem = problem.reason || problem.message || String(problem);
      if (problem.status === 400 || [401, 403].includes(problem.status)) {
        return this.finish(doc, job, 'failed', null);
      }
      job.state = 'crashing';
      setTimeout(() => job.cancelled || this.attempt(doc, job, Math.min(pause * 2, 60000)), pause).unref();
      return undefined;
    }).catch(error => process.stderr.write(error.stack + '\n'));
  }

  async finish(doc, job, state, info) {
    if (job.cancelled) {
      return;
    }
    job.state = state;
    job.info = info;
    const now = await this.db.get(doc._id).catch(() => null);
    if (now && definitionOf(now) === job.definition) {
      const { docs_read, docs_written, doc_write_failures, start_time, end_time } = info || {};
      await this.db.put({
        ...now, _replication_state: state, _replication_state_time: new Date().toISOString(),
        ...state === 'failed' ? { _replication_state_reason: job.problem } : {
          _replication_stats: { docs_read, docs_written, doc_write_failures, start_time, end_time }
        }
      }).catch(error => { if (error.status !== 409) { throw error; } });
    }
  }

  // Goes on with what was going on, and follows the documents.
  async start() {
    this.db = await getOrCreateDB(this.PouchDB, DATABASE);
    const { rows } = await this.db.allDocs({ include_docs: true });
    this.feed = this.db.changes({ since: 'now', live: true, include_docs: true });
    this.feed.on('change', change => this.changed(change.doc));
    this.feed.on('error', error => process.stderr.write(`${error.stack || error}\n`));
    rows.forEach(row => this.changed(row.doc));
  }

  stop() {
    if (this.feed) {
      this.feed.cancel();
    }
    [...this.jobs.values(), ...this.temporary.values()].forEach(job => this.end(job));
  }
}

function rowOf(id, job) {
  const { docs_read = 0, docs_written = 0, doc_write_failures = 0, last_seq = null } = job.info || {};
  return {
    database: DATABASE, doc_id: id, id: job.id, node: 'nonode@nohost', source: shown(job.doc.source),
    target: shown(job.doc.target), state: job.state, error_count: job.errors, start_time: job.started,
    last_updated: job.started,
    info: job.problem ? { error: job.problem }
      : { docs_read, docs_written, doc_write_failures, checkpointed_source_seq: last_seq }
  };
}

// One replication whose answer is awaited, unless it is continuous.
async function replicate(req, res, replicator) {
  const doc = await readObject(req, res);
  const definition = definitionOf({ ...doc, cancel: undefined });
  const known = replicator.temporary.get(definition);
  if (doc.cancel) {
    if (!known) {
      throw new HttpError(404, 'not_found', 'there is no such replication');
    }
    replicator.end(known);
    replicator.temporary.delete(definition);
    sendJSON(res, 200, { ok: true, _local_id: known.id });
    return;
  }
  if (known) {
    sendJSON(res, 202, { ok: true, _local_id: known.id });
    return;
  }
  const job = replicator.newJob(doc);
  const running = replicator.run(doc, job, Boolean(doc.continuous));
  if (doc.continuous) {
    replicator.temporary.set(definition, job);
    running.catch(error => { job.problem = String(error.reason || error.message); })
      .then(() => replicator.temporary.delete(definition));
    sendJSON(res, 202, { ok: true, _local_id: job.id });
    return;
  }
  const { docs_read, docs_written, doc_write_failures, last_seq, start_time, end_time } = await running;
  const history = [{
    session_id: job.id, start_time, end_time, recorded_seq: last_seq, docs_read, docs_written, doc_write_failures
  }];
  sendJSON(res, 200, { ok: true, session_id: job.id, source_last_seq: last_seq, replication_id_version: 4, history });
}

function install(router, { replicator }) {
  router.post('/_replicate', route((req, res) => replicate(req, res, replicator)));
  router.get('/_scheduler/docs(/_replicator)?', route(async (req, res) => {
    const docs = [...replicator.jobs].map(([id, job]) => rowOf(id, job));
    sendJSON(res, 200, { total_rows: docs.length, offset: 0, docs });
  }));
  router.get('/_scheduler/docs/_replicator/:id', route(async (req, res) => {
    const job = replicator.jobs.get(req.params.id);
    const doc = await replicator.db.get(req.params.id).catch(() => null);
    if (!job || !doc) {
      throw new HttpError(404, 'not_found', 'missing');
    }
    // The document that was written a moment ago may not have been seen yet.
    const isOld = DONE.includes(job.state) && doc._replication_state === undefined;
    sendJSON(res, 200, { ...rowOf(req.params.id, job), ...isOld ? { state: 'initializing', info: null } : {} });
  }));
}

module.exports = { Replicator, install };
