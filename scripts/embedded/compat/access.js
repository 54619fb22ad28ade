'use strict';

// Who may do what, as CouchDB 3 decides it: with an administrator set, a database is for administrators unless its
// `_security` names members. Requests of the administrator pass without express-pouchdb's look-ups of users and
// sessions.

const crypto = require('crypto');
const { HttpError, sendError } = require('./http');

const OPEN = /^\/(?:$|_up$|_session$|_utils(?:\/|$))/;

function digest(text) {
  return crypto.createHash('sha256').update(text).digest();
}

// Sets req.couchSession where the request is an administrator's; `admin` is {name, password}, or undefined for
// everyone.
function administrator(admin) {
  const expected = admin && digest(`${admin.name}:${admin.password}`);
  return req => {
    const given = /^Basic (.+)$/i.exec(req.get('Authorization') || '');
    const isAdmin = !admin
      || (given && crypto.timingSafeEqual(digest(Buffer.from(given[1], 'base64').toString('utf8')), expected));
    if (isAdmin) {
      req.couchSession = {
        ok: true,
        info: {
          authentication_handlers: ['cookie', 'default'],
          authenticated: admin ? 'default' : undefined,
          authentication_db: '_users'
        },
        userCtx: { name: admin ? admin.name : null, roles: ['_admin'] }
      };
    }
    return Boolean(isAdmin);
  };
}

function names(section, userCtx) {
  const { names: users = [], roles = [] } = section || {};
  return users.includes(userCtx.name) || roles.some(role => userCtx.roles.includes(role));
}

// Runs after express-pouchdb has found out who asks.
function gate(req, res, next) {
  const { userCtx } = req.couchSession;
  const path = req.path;
  if (userCtx.roles.includes('_admin') || OPEN.test(path) || path.startsWith('/_users/')) {
    next();
    return;
  }
  const refuse = () => sendError(res, userCtx.name === null
    ? new HttpError(401, 'unauthorized', 'You are not authorized to access this db.')
    : new HttpError(403, 'forbidden', 'You are not allowed to access this db.'));
  // Creating and deleting a database, and everything of the server itself, is the administrator's.
  const isDatabase = /^\/[^_/][^/]*\/?$/.test(path);
  if (path.startsWith('/_') || (isDatabase && ['PUT', 'DELETE'].includes(req.method))) {
    sendError(res, new HttpError(401, 'unauthorized', 'You are not a server admin.'));
    return;
  }
  req.loadDatabase().then(() => {
    const { admins, members } = req.couchSecurityObj;
    const open = members && (members.names || []).length + (members.roles || []).length === 0;
    if (names(admins, userCtx) || names(members, userCtx) || open) {
      next();
    } else {
      refuse();
    }
  }).catch(error => sendError(res, error));
}

module.exports = { administrator, gate };
