'use strict';

// The changes of a database as they come (`feed=continuous` and `feed=longpoll`), those that there are (a row a line, as
// CouchDB gives them), and the sequence of now. express-pouchdb begins its answer with the first heartbeat only, before
// anybody knows what `since=now` came to, goes on for ever behind a database that was deleted and a client that is gone,
// and has all rows in memory at once.

const { HttpError, route } = require('./http');
const { writeChunk } = require('./send-rows');

const HEARTBEAT = 60000;
// Rows read at a time: documents may be large.
const PAGE = 50;
// What these feeds understand; with anything else the request goes on to express-pouchdb.
const KNOWN = new Set(['feed', 'heartbeat', 'include_docs', 'limit', 'since']);
const FORMS = {
  continuous: { begin: '\n', end: last => JSON.stringify({ last_seq: last, pending: 0 }) + '\n' },
  // Answered by the first changes.
  longpoll: { begin: '{"results":[\n', end: last => `],\n"last_seq":${JSON.stringify(last)},"pending":0}\n` }
};

// A sequence names its database: what is behind one of a database that was made anew is everything.
async function startOf(db, text) {
  if (text === 'now') {
    return (await db.info()).update_seq;
  }
  const [, number, id] = /^(\d+)(?:-(.+))?$/.exec(text) || [];
  if (number === undefined) {
    throw new HttpError(400, 'bad_request', `Malformed sequence supplied in 'since' parameter: ${text}`);
  }
  return id === undefined || id === await db.id() ? Number(number) : 0;
}

async function now(req, res) {
  res.json({ results: [], last_seq: `${await startOf(req.db, 'now')}-${await req.db.id()}`, pending: 0 });
}

// The changes that there are, up to `limit`.
async function list(req, res) {
  const { limit, since, include_docs } = req.couchQuery;
  let left = limit === undefined ? Infinity : Number(limit);
  if (!(left >= 0)) {
    throw new HttpError(400, 'query_parse_error', `Invalid value for integer: ${limit}`);
  }
  let last = await startOf(req.db, String(since || 0));
  const id = await req.db.id();
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Cache-Control', 'must-revalidate');
  let text = '{"results":[\n';
  let separator = '';
  while (left > 0) {
    const wanted = Math.min(left, PAGE);
    const { results } = await req.db.changes({ since: last, limit: wanted, include_docs: include_docs === 'true' });
    for (const { seq, ...change } of results) {
      text += separator + JSON.stringify({ seq: `${seq}-${id}`, ...change });
      separator = ',\n';
      last = seq;
    }
    await writeChunk(res, text);
    text = '';
    left = results.length < wanted ? 0 : left - wanted;
  }
  const pending = (await req.db.info()).update_seq - last;
  res.end(`${text}\n],\n"last_seq":"${last}-${id}","pending":${pending}}\n`);
}

async function follow(req, res) {
  const query = req.couchQuery;
  const form = FORMS[query.feed];
  const heartbeat = query.heartbeat === undefined || query.heartbeat === 'true' ? HEARTBEAT : Number(query.heartbeat);
  if (!(heartbeat >= 1)) {
    throw new HttpError(400, 'query_parse_error', `Invalid value for heartbeat: ${query.heartbeat}`);
  }
  const since = await startOf(req.db, String(query.since || 0));
  const id = await req.db.id();
  const named = change => ({ ...change, seq: `${change.seq}-${id}` });
  let last = `${since}-${id}`;
  const options = { since, include_docs: query.include_docs === 'true' };
  const limit = Number(query.limit) || undefined;
  const there = query.feed === 'longpoll' ? (await req.db.changes({ ...options, limit })).results : [];
  if (res.destroyed) {
    return; // the client is gone, and nothing would end what begins here
  }
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Cache-Control', 'must-revalidate');
  res.write(form.begin);
  if (there.length) {
    const rows = there.map(named);
    res.end(rows.map(change => JSON.stringify(change)).join(',\n') + '\n' + form.end(rows[rows.length - 1].seq));
    return;
  }
  const changes = req.db.changes({ ...options, live: true });
  const timer = setInterval(() => res.write('\n'), heartbeat);
  const end = () => {
    clearInterval(timer);
    changes.cancel();
  };
  const finish = () => {
    end();
    if (!res.writableEnded) {
      res.end(form.end(last));
    }
  };
  changes.on('change', change => {
    if (res.writableEnded) {
      return;
    }
    last = named(change).seq;
    res.write(JSON.stringify(named(change)) + '\n');
    if (query.feed === 'longpoll') {
      finish();
    }
  });
  changes.on('complete', finish);
  changes.on('error', finish);
  req.db.once('destroyed', finish);
  res.on('close', () => {
    req.db.removeListener('destroyed', finish);
    end();
  });
}

function install(router) {
  router.get('/:db/_changes', (req, res, next) => {
    const query = req.couchQuery;
    const mine = query.feed in FORMS && Object.keys(query).every(name => KNOWN.has(name)) &&
      !('limit' in query && query.feed === 'continuous');
    next(mine ? undefined : 'route');
  }, route(follow));
  router.get('/:db/_changes', (req, res, next) => {
    const { feed = 'normal', since, ...others } = req.couchQuery;
    next(feed === 'normal' && since === 'now' && Object.keys(others).every(name => name === 'limit') ? undefined : 'route');
  }, route(now));
  router.get('/:db/_changes', (req, res, next) => {
    const { feed = 'normal' } = req.couchQuery;
    next(feed === 'normal' && Object.keys(req.couchQuery).every(name => KNOWN.has(name)) ? undefined : 'route');
  }, route(list));
}

module.exports = { install };
