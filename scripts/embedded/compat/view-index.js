'use strict';

// The index of one view group: rows sorted by key in a leveldb of its own, brought up to date from the changes feed.
//
//   r <view> <key> <document id> 00 <n>   JSON of [key, value, document id]
//   d <document id>                       the row keys of that document, to be removed when it changes
//   s                                     {seq, totals: rows of each view}

const { Level } = require('./level');

const BATCH = 50;
const STATE = Buffer.from('s');

function rowPrefix(view) {
  return Buffer.from([0x72, view.number]);
}

function documentKey(id) {
  return Buffer.from('d' + id);
}

class ViewIndex {
  constructor(db, group, location, memory) {
    this.db = db;
    this.group = group;
    this.location = location;
    this.level = new Level(location, memory);
    this.closed = false;
    this.running = null;
    // A destroyed database never answers: closing must not wait for it.
    this.aborted = new Promise(resolve => { this.abort = resolve; });
  }

  async open() {
    await this.level.open();
    const state = await this.level.get(STATE);
    const saved = state ? JSON.parse(state.toString()) : { seq: 0, totals: this.group.views.map(() => 0) };
    this.seq = saved.seq;
    this.totals = saved.totals;
    return this;
  }

  async close() {
    this.closed = true;
    this.abort();
    if (this.running) {
      // Its own caller hears of a failure.
      await this.running.catch(() => undefined);
    }
    await this.level.close();
  }

  // Brings the index up to the sequence the database has now. Writes that arrive meanwhile are left to the next call,
  // so this ends however busily others write.
  async update() {
    const { update_seq: target } = await this.db.info();
    while (this.seq < target && !this.closed) {
      if (!this.running) {
        this.running = this.step(target).finally(() => { this.running = null; });
      }
      await this.running;
      // Let requests in between two batches.
      await new Promise(setImmediate);
    }
  }

  async step(target) {
    const feed = this.db.changes({ since: this.seq, limit: BATCH, include_docs: true, style: 'all_docs' });
    const changes = await Promise.race([feed, this.aborted]);
    if (this.closed) {
      return;
    }
    const operations = [];
    const totals = this.totals.slice();
    const mapped = changes.results.filter(change => !change.deleted && this.isIndexed(change));
    const emitted = this.group.map(mapped.map(change => change.doc));
    const rows = new Map(mapped.map((change, i) => [change.id, emitted[i]]));
    await Promise.all(changes.results.filter(change => this.isIndexed(change))
      .map(change => this.index(change, rows.get(change.id) || [], operations, totals)));
    // Fewer than a batch means that nothing is left; sequences of overwritten revisions never appear in the feed.
    const seq = changes.results.length < BATCH ? Math.max(changes.last_seq, target) : changes.last_seq;
    operations.push({ type: 'put', key: STATE, value: JSON.stringify({ seq, totals }) });
    await this.level.batch(operations);
    this.seq = seq;
    this.totals = totals;
  }

  isIndexed(change) {
    return this.group.includeDesign || !change.id.startsWith('_design/');
  }

  async index(change, emitted, operations, totals) {
    const key = documentKey(change.id);
    // The first revision of a document has left no rows.
    const first = change.changes.length === 1 && change.changes[0].rev.startsWith('1-');
    const old = first ? undefined : await this.level.get(key);
    if (old) {
      for (const [number, row] of JSON.parse(old.toString())) {
        operations.push({ type: 'del', key: Buffer.from(row, 'base64') });
        totals[number] -= 1;
      }
    }
    const kept = [];
    emitted.forEach((rows, number) => {
      const prefix = rowPrefix(this.group.views[number]);
      rows.forEach(([encoded, row], n) => {
        const serial = Buffer.alloc(5);
        serial.writeUInt32BE(n, 1);
        const rowKey = Buffer.concat([prefix, encoded, Buffer.from(change.id), serial]);
        operations.push({ type: 'put', key: rowKey, value: `${row.slice(0, -1)},${JSON.stringify(change.id)}]` });
        kept.push([number, rowKey.toString('base64')]);
      });
      totals[number] += rows.length;
    });
    if (kept.length) {
      operations.push({ type: 'put', key, value: JSON.stringify(kept) });
    } else if (old) {
      operations.push({ type: 'del', key });
    }
  }
}

module.exports = { ViewIndex, rowPrefix };
