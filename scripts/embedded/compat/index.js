'use strict';

// express-pouchdb with what it lacks in front of it. Each module of this folder closes one gap; requests that none of
// them knows go on to express-pouchdb.

const path = require('path');
const { promisify } = require('util');
const express = require('express');
const expressPouchDB = require('express-pouchdb');
const leveldown = require('leveldown');
const memdown = require('memdown');
const PouchDBCore = require('pouchdb-core');
const access = require('./access');
const { attachmentLeveldown } = require('./attachment-files');
const attachments = require('./attachments');
const bulk = require('./bulk');
const changes = require('./changes');
const databases = require('./databases');
const { Designs } = require('./designs');
const documents = require('./documents');
const { sendError } = require('./http');
const lists = require('./lists');
const replicator = require('./replicator');
const shows = require('./shows');
const views = require('./views');

// Parts of express-pouchdb that this folder replaces or that nothing here needs.
const REPLACED = [
  'compression', 'disk-size', 'validation', 'replicator', 'routes/replicate', 'routes/http-log', 'routes/log', 'routes/special-test-auth',
  'routes/rewrite', 'routes/all-docs', 'routes/bulk-docs', 'routes/ddoc-info', 'routes/list', 'routes/show',
  'routes/temp-views', 'routes/update', 'routes/vhosts', 'routes/view-cleanup', 'routes/views'
];

// PouchDB on files below `folder`; in memory mode only attachments are files.
function makePouchDB({ folder, memory, designs, folders }) {
  const store = attachmentLeveldown(memory ? memdown : leveldown, folders, {
    sync: !memory,
    onWrite: (location, design) => designs.wrote(location, design),
    onDestroy: location => designs.close(location, true)
  });
  return PouchDBCore
    .plugin(memory ? require('pouchdb-adapter-memory') : require('pouchdb-adapter-leveldb'))
    .plugin(require('pouchdb-adapter-http'))
    .plugin(require('pouchdb-replication'))
    // Revisions that are hashes of the whole document would read every attachment again.
    .defaults({ prefix: folder + path.sep, db: store, deterministic_revs: false });
}

// express-pouchdb offers no place between knowing who asks and its own routes: this moves `layers` there.
function insertAfterAuthentication(app, layers) {
  const stack = app._router.stack;
  const at = stack.findIndex(layer => layer.route && layer.route.path === '/_config');
  if (at < 0) {
    throw new Error('express-pouchdb has no /_config route any more');
  }
  const before = stack.length;
  layers.forEach(layer => app.use(layer));
  stack.splice(at, 0, ...stack.splice(before));
}

// {app, close()}; resolves when the databases can be opened. `admin` is {name, password} or undefined.
async function createHost({ folder, memory, admin, logPath }) {
  // Refused when another process uses the folder; express-pouchdb opens databases where nobody catches that.
  const held = leveldown(path.join(folder, '_in_use'));
  await promisify(held.open.bind(held))({});
  const designs = new Designs({ memory });
  const folders = new Map();
  const PouchDB = makePouchDB({ folder, memory, designs, folders });
  const pouchApp = expressPouchDB({
    mode: 'fullCouchDB', inMemoryConfig: true, logPath, overrideMode: { exclude: REPLACED }
  });
  pouchApp.couchConfig.set('log', 'level', 'none', () => undefined);
  if (admin) {
    await new Promise(resolve => pouchApp.couchConfig.set('admins', admin.name, admin.password, resolve));
  }
  const locationOf = name => PouchDB.__folder + name;
  PouchDB.__folder = folder + path.sep;

  const context = databases.prepare({ app: pouchApp, PouchDB, designs, folders, locationOf });
  const couch = express.Router({ caseSensitive: true, strict: false });
  const copier = new replicator.Replicator({ PouchDB, load: context.load });
  const host = { designs, PouchDB, replicator: copier };
  replicator.install(couch, host);
  databases.install(couch, host);
  [bulk, changes, views, lists, shows, attachments, documents].forEach(module => module.install(couch, host));

  const isAdministrator = access.administrator(admin);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.use(context);
  app.use((req, res, next) => isAdministrator(req) ? couch(req, res, next) : next());
  insertAfterAuthentication(pouchApp, [
    access.gate, (req, res, next) => isAdministrator(req) ? next() : couch(req, res, next)
  ]);
  app.use(pouchApp);
  app.use((error, req, res, next) => sendError(res, error));

  await pouchApp.setPouchDB(PouchDB);
  await PouchDB.allDbs();
  return {
    app,
    // From when on it answers at a port: replications go on.
    async listening(port) {
      copier.port = port;
      await copier.start();
    },
    async close() {
      copier.stop();
      await Promise.all([...folders.keys()].map(location => designs.close(location, false)));
      await promisify(held.close.bind(held))();
    }
  };
}

module.exports = { createHost };
