'use strict';

// The changes of a database as they come (`feed=continuous` and `feed=longpoll`), those that there are (a row a line, as
// CouchDB gives them), those that a selector chooses, and the sequence of now. express-pouchdb begins its answer with the
// first heartbeat only, before anybody knows what `since=now` came to, goes on for ever behind a database that was deleted
// and a client that is gone, has all rows in memory at once, and knows no selectors.

const { HttpError, readObject, route } = require('./http');
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

// The changes that there are, up to `limit`; of those the ones that a selector chooses, where one is sent.
async function list(req, res) {
  const { filter, limit, since, include_docs, style } = req.couchQuery;
  let left = limit === undefined ? Infinity : Number(limit);
  if (!(left >= 0)) {
    throw new HttpError(400, 'query_parse_error', `Invalid value for integer: ${limit}`);
  }
  let last = await startOf(req.db, String(since || 0));
  const id = await req.db.id();
  const options = { include_docs: include_docs === 'true', style };
  if (filter) {
    Object.assign(options, { filter: '_selector', selector: await selectorOf(req, res) });
  }
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Cache-Control', 'must-revalidate');
  let text = '{"results":[\n';
  let separator = '';
  while (left > 0 && !res.destroyed) {
    const wanted = Math.min(left, PAGE);
    const page = await req.db.changes({ ...options, since: last, limit: wanted });
    for (const { seq, ...change } of page.results) {
      text += separator + JSON.stringify({ seq: `${seq}-${id}`, ...change });
      separator = ',\n';
    }
    last = Math.max(last, page.last_seq);
    await writeChunk(res, text);
    text = '';
    left = page.results.length < wanted ? 0 : left - wanted;
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
  if (query.filter) {
    Object.assign(options, { filter: '_selector', selector: await selectorOf(req, res), style: query.style });
  }
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

async function selectorOf(req, res) {
  const { selector } = await readObject(req, res);
  if (selector === null || typeof selector !== 'object' || Array.isArray(selector)) {
    throw new HttpError(400, 'bad_request', 'Selector error: expected a JSON object');
  }
  return selector;
}

// What replicators ask for.
const CHOSEN = new Set([...KNOWN, 'filter', 'style', 'timeout', 'seq_interval', 'conflicts']);

function install(router) {
  router.post('/:db/_changes', (req, res, next) => {
    const query = req.couchQuery;
    const { feed = 'normal', filter } = query;
    const mine = filter === '_selector' && (feed === 'normal' || feed in FORMS) && Object.keys(query).every(name => CHOSEN.has(name));
    next(mine ? undefined : 'route');
  }, route((req, res) => (req.couchQuery.feed in FORMS ? follow : list)(req, res)));
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
    const { feed = 'normal', ...others } = req.couchQuery;
    next(feed === 'normal' && Object.keys(others).every(name => name === 'style' || KNOWN.has(name)) ? undefined : 'route');
  }, route(list));
}

module.exports = { install };
