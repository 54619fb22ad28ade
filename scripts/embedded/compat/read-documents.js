'use strict';

// Documents by id, many at once. PouchDB's allDocs({keys}) opens a stream for every key; the adapter's own read does
// not.

const merge = require('pouchdb-merge');

function readOne(db, id) {
  return new Promise((resolve, reject) => {
    db._get(id, {}, (error, found) => {
      if (!error) {
        resolve(found);
      } else if (error.status === 404) {
        resolve(null);
      } else {
        reject(error);
      }
    });
  });
}

// In the order of `ids`, with null where there is no such document.
async function readDocuments(db, ids, { conflicts, attachments } = {}) {
  if (attachments) {
    return Promise.all(ids.map(id => db.get(id, { conflicts, attachments: true }).catch(error => {
      if (error.status === 404) {
        return null;
      }
      throw error;
    })));
  }
  const once = new Map(ids.map(id => [id, null]));
  await Promise.all([...once.keys()].map(async id => once.set(id, await readOne(db, id))));
  for (const [id, found] of once) {
    if (found) {
      for (const attachment of Object.values(found.doc._attachments || {})) {
        attachment.stub = true;
      }
      const others = conflicts ? merge.collectConflicts(found.metadata) : [];
      if (others.length) {
        found.doc._conflicts = others;
      }
      once.set(id, found.doc);
    }
  }
  return ids.map(id => once.get(id));
}

module.exports = { readDocuments };
