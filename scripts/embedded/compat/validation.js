'use strict';

// validate_doc_update, for every write that goes through the database's own interface. express-pouchdb's own validation
// reads and compiles all design documents for each write.

const wrappers = require('pouchdb-wrappers');
const { thrown } = require('./javascript');

const ADMIN = { name: null, roles: ['_admin'] };

async function validate(db, doc, validators, context) {
  const old = await db.get(doc._id, { revs: true }).catch(() => null);
  // As JSON, as a CouchDB query server gets it: a validation function cannot change what is stored.
  const shown = JSON.stringify(Object.assign({}, doc, { _attachments: shownAttachments(doc) }));
  for (const design of validators) {
    const { run } = design.function('validate_doc_update');
    try {
      run(JSON.parse(shown), old, context.userCtx || ADMIN, context.secObj || {});
    } catch (error) {
      throw thrown(error);
    }
  }
}

function shownAttachments(doc) {
  if (!doc._attachments) {
    return undefined;
  }
  return Object.fromEntries(Object.entries(doc._attachments).map(([name, attachment]) => {
    const { data, ...rest } = attachment;
    return [name, data === undefined ? rest : Object.assign(rest, { stub: true })];
  }));
}

// A failure as PouchDB reports the failure of one document of several.
function failure(doc, error) {
  return { id: doc._id, error: true, status: error.status, name: error.error, message: error.reason };
}

function installValidation(db, designs, location) {
  wrappers.installWrapperMethods(db, {
    bulkDocs: async function (original, args) {
      const validators = await designs.validators(location);
      const refused = new Map();
      if (validators.length) {
        await Promise.all(args.docs.map(async (doc, i) => {
          if (doc && doc._id && !/^_(design|local)\//.test(doc._id)) {
            await validate(db, doc, validators, args.options)
              .catch(error => refused.set(i, failure(doc, thrown(error))));
          }
        }));
      }
      if (!refused.size) {
        return original();
      }
      const docs = args.docs;
      args.docs = docs.filter((doc, i) => !refused.has(i));
      const written = args.docs.length ? await original() : [];
      if (args.options.new_edits === false) {
        return [...refused.values(), ...written];
      }
      return docs.map((doc, i) => refused.get(i) || written.shift());
    }
  });
}

module.exports = { installValidation };
