'use strict';

// The changes of a database as they come (`feed=continuous` and `feed=longpoll`). express-pouchdb begins its answer with
// the first heartbeat only, before anybody knows what `since=now` came to, and goes on for ever behind a database that
// was deleted and a client that is gone.

const { HttpError, route } = require('./http');

const HEARTBEAT = 60000;
// What these feeds understand; with anything else the request goes on to express-pouchdb.
const KNOWN = new Set(['feed', 'heartbeat', 'include_docs', 'since']);
const FORMS = {
  continuous: { begin: '\n', end: last => JSON.stringify({ last_seq: last, pending: 0 }) + '\n' },
  // Answered by the first changes.
  longpoll: { begin: '{"results":[\n', end: last => `],\n"last_seq":${last},"pending":0}\n` }
};

async function follow(req, res) {
  const query = req.couchQuery;
  const form = FORMS[query.feed];
  const heartbeat = query.heartbeat === undefined || query.heartbeat === 'true' ? HEARTBEAT : Number(query.heartbeat);
  if (!(heartbeat >= 1)) {
    throw new HttpError(400, 'query_parse_error', `Invalid value for heartbeat: ${query.heartbeat}`);
  }
  const since = query.since === 'now' ? (await req.db.info()).update_seq : Number(query.since || 0);
  if (!Number.isInteger(since)) {
    throw new HttpError(400, 'bad_request', `Malformed sequence supplied in 'since' parameter: ${query.since}`);
  }
  let last = since;
  const options = { since, include_docs: query.include_docs === 'true' };
  const there = query.feed === 'longpoll' ? (await req.db.changes(options)).results : [];
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Cache-Control', 'must-revalidate');
  res.write(form.begin);
  if (there.length) {
    res.end(there.map(change => JSON.stringify(change)).join(',\n') + '\n' + form.end(there[there.length - 1].seq));
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
    last = change.seq;
    res.write(JSON.stringify(change) + '\n');
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
    const mine = query.feed in FORMS && Object.keys(query).every(name => KNOWN.has(name));
    next(mine ? undefined : 'route');
  }, route(follow));
}

module.exports = { install };
