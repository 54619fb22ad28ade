'use strict';

// Finds a request's database and refuses names that CouchDB refuses.

const { getOrCreateDB } = require('express-pouchdb/lib/create-or-delete-dbs');
const { createHash } = require('crypto');
const { HttpError, queryOf, route, sendJSON } = require('./http');
const { ViewGroup } = require('./view-group');
const { installValidation } = require('./validation');

const NAME = /^(?:[a-z][a-z0-9_$()+/-]*|_users|_replicator|_global_changes)$/;

// In the place of a slash: no name has it.
const SLASH = '~';

// Views that do not compile are refused when they are pushed, as CouchDB does.
function checkDesign(doc) {
  if (doc.language === undefined || doc.language === 'javascript') {
    new ViewGroup(doc);
  }
}

// Tells a database from an earlier one of its name, whose sequence it repeats. CouchDB gives the second in which it was
// made; two may be made within one here, so this is a number made of the id that PouchDB gives each.
async function startOf(db) {
  return String(createHash('sha256').update(await db.id()).digest().readUIntBE(0, 6));
}

function prepare({ app, PouchDB, designs, folders, locationOf }) {
  app.dbWrapper.registerWrapper((name, db, next) => {
    const location = locationOf(name);
    designs.attach(location, db);
    installValidation(db, designs, location);
    return next();
  });

  async function load(name) {
    if (!(await PouchDB.allDbs()).includes(name)) {
      throw new HttpError(404, 'not_found', 'Database does not exist.');
    }
    const db = await getOrCreateDB(PouchDB, name);
    await app.dbWrapper.wrap(name, db);
    return db;
  }

  // A database for a replication, made where that is asked for.
  async function loadNamed(text, create) {
    const name = text.replace(/\//g, SLASH);
    if (create && !(await PouchDB.allDbs()).includes(name)) {
      await (await getOrCreateDB(PouchDB, name)).info();
    }
    return load(name);
  }

  // Sets what the other modules read off a request.
  return Object.assign(context, { load: loadNamed });

  function context(req, res, next) {
    const segment = req.path.split('/')[1];
    try {
      req.couchName = decodeURIComponent(segment);
    } catch (error) {
      next(new HttpError(400, 'bad_request', 'Invalid URL encoding'));
      return;
    }
    // express-pouchdb leaves slashes out of a name, which would make it that of another database.
    req.couchDatabase = NAME.test(req.couchName) ? req.couchName.replace(/\//g, SLASH) : req.couchName;
    if (req.couchDatabase !== req.couchName) {
      req.url = req.url.replace(segment, encodeURIComponent(req.couchDatabase));
    }
    req.couchQuery = queryOf(req);
    // The slash of a design document's id may be percent-encoded too.
    req.url = req.url.replace(/^(\/[^/?]+\/)_(design|local)%2F/i, '$1_$2/');
    req.checkDesign = checkDesign;
    req.loadDatabase = async () => {
      if (!req.couchLocation) {
        const name = req.couchDatabase;
        req.db = await load(name);
        req.couchLocation = locationOf(name);
        req.attachments = folders.get(req.couchLocation);
        const security = await req.db.get('_local/_security').catch(() => ({}));
        req.couchSecurityObj = security.security || {};
      }
    };
    next();
  }
}

function install(router, { PouchDB }) {
  router.get('/_up', (req, res) => sendJSON(res, 200, { status: 'ok', seeds: {} }));

  router.get('/_all_dbs', route(async (req, res) => {
    const names = await PouchDB.allDbs();
    sendJSON(res, 200, names.map(name => name.split(SLASH).join('/')).sort());
  }));

  router.put('/:db', (req, res, next) => {
    if (NAME.test(req.couchName)) {
      next('router');
      return;
    }
    next(new HttpError(400, 'illegal_database_name', `Name: '${req.couchName}'. Only lowercase characters (a-z), `
      + 'digits (0-9), and any of the characters _, $, (, ), +, -, and / are allowed. Must begin with a letter.'));
  });

  router.use('/:db', (req, res, next) => {
    next(req.couchName.includes(SLASH) ? new HttpError(404, 'not_found', 'Database does not exist.') : undefined);
  });

  // Databases of express-pouchdb's own plug-ins stay with it.
  router.use('/:db', (req, res, next) => {
    const name = req.couchDatabase;
    next((name.startsWith('_') && name !== '_replicator') || name === '' ? 'router' : undefined);
  });

  router.get('/:db', route(async (req, res) => {
    await req.loadDatabase();
    const info = await req.db.info();
    sendJSON(res, 200, {
      db_name: req.couchName, doc_count: info.doc_count, update_seq: info.update_seq, purge_seq: 0,
      compact_running: false, disk_format_version: 8, instance_start_time: await startOf(req.db), props: {},
      adapter: info.backend_adapter
    });
  }));
  // Replicators compare the two.
  router.post('/:db/_ensure_full_commit', route(async (req, res) => {
    await req.loadDatabase();
    sendJSON(res, 201, { ok: true, instance_start_time: await startOf(req.db) });
  }));
  router.delete('/:db', (req, res, next) => next('router'));
  router.use('/:db', route(async (req, res, next) => {
    await req.loadDatabase();
    next();
  }));
}

module.exports = { install, prepare };
