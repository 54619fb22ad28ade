'use strict';

// The `req` that lists, shows and updates get, as CouchDB builds it:
// https://docs.couchdb.org/en/stable/json-structure.html#request-object

const { randomUUID } = require('crypto');
const { parseJSON, readBody } = require('./http');

// CouchDB decodes these and leaves every other parameter the string it is.
const DECODED = ['startkey', 'start_key', 'endkey', 'end_key', 'key', 'descending'];

function headersOf(req) {
  const headers = {};
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    // Each word with a capital, as CouchDB writes known headers.
    const name = req.rawHeaders[i].toLowerCase().replace(/(^|-)[a-z]/g, start => start.toUpperCase());
    headers[name] = req.rawHeaders[i + 1];
  }
  return headers;
}

function cookiesOf(req) {
  return Object.fromEntries((req.get('Cookie') || '').split(';').filter(one => one.includes('='))
    .map(one => [one.slice(0, one.indexOf('=')).trim(), one.slice(one.indexOf('=') + 1).trim()]));
}

async function requestObject(req, res, id) {
  const query = Object.assign({}, req.couchQuery);
  for (const name of DECODED) {
    if (Object.hasOwn(query, name)) {
      query[name] = parseJSON(query[name]);
    }
  }
  const body = (await readBody(req, res)).toString('utf8');
  const isForm = /^application\/x-www-form-urlencoded/i.test(req.get('Content-Type') || '');
  const path = req.originalUrl.split('?')[0].split('/').filter(Boolean).map(decodeURIComponent);
  const info = await req.db.info();
  return {
    info: Object.assign({}, info, { db_name: req.couchDatabase }),
    id: id === undefined ? null : id,
    uuid: randomUUID().replace(/-/g, ''),
    method: req.method,
    requested_path: req.originalUrl.split('/').filter(Boolean),
    path,
    raw_path: req.originalUrl,
    query,
    headers: headersOf(req),
    body: body === '' && !['PUT', 'POST'].includes(req.method) ? 'undefined' : body,
    peer: req.ip,
    form: isForm ? Object.fromEntries(new URLSearchParams(body)) : {},
    cookie: cookiesOf(req),
    userCtx: Object.assign({ db: req.couchDatabase }, req.couchSession.userCtx),
    secObj: req.couchSecurityObj || {}
  };
}

module.exports = { requestObject };
