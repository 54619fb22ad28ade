// Replicates studies into a PouchDB and searches there, and in a plain array: what tests/browser/test_offline.py does in a
// browser, in node. Reads { module, pouchdb, folder, url, studies, queries, below, refused } and writes what was found, both JSON.
'use strict';

const fs = require('fs');

async function main() {
  const given = JSON.parse(fs.readFileSync(0, 'utf8'));
  const logic = require(given.module);
  const PouchDB = require(given.pouchdb);
  const local = new PouchDB(given.folder);
  for (const study of given.studies) {
    await PouchDB.replicate(`${given.url}/documents/${study}`, local, { checkpoint: 'target', batch_size: 10 });
  }
  const docs = (await local.allDocs({ include_docs: true })).rows.map(row => row.doc);
  const again = await PouchDB.replicate(`${given.url}/documents/${given.studies[0]}`, local, { checkpoint: 'target' });
  const options = { base: given.url };
  const found = { docs: docs.length, again: again.docs_written, attachments: docs.filter(doc => doc._attachments).length };
  // PouchDB makes a context of its own in node for every document of every view, which takes long: one study is enough.
  const [one] = given.studies.filter(study => given.below[0].includes(study));
  const small = new PouchDB(`${given.folder}-one`);
  await PouchDB.replicate(local, small, { selector: { _id: { $regex: `^${one}:` } } });
  for (const [name, source, queries] of [['array', docs, given.queries], ['pouch', small, given.below]]) {
    found[name] = [];
    for (const query of queries) {
      found[name].push(await logic.search(source, query, options));
    }
  }
  found.refused = await Promise.all(given.refused.map(query => logic.search(docs, query).then(() => 200, problem => problem.status)));
  await Promise.all([local, small].map(db => db.destroy()));
  process.stdout.write(JSON.stringify(found));
}

main().catch(problem => {
  console.error(problem);
  process.exitCode = 1;
});
