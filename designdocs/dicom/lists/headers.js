function (head, req) {
  // Over the documents of one study, in order of their ids: which headers must be written for them to agree.
  var rebuild = require('lib/headers/rebuild').rebuilder();
  // Given to whom asks after replication; see lib/headers/rebuild.js.
  var given = req.method === 'POST' && require('lib/search/request').body(req).query;
  var row;
  start({ headers: { 'Content-Type': 'application/json' } });
  while ((row = getRow())) {
    if (row.doc) {
      rebuild.add(row.doc);
    }
  }
  send(JSON.stringify(given ? rebuild.reconciled(given) : { docs: rebuild.changes() }));
}
