function (head, req) {
  // Over the documents of one study, in order of their ids: which headers must be written for them to agree.
  var rebuild = require('lib/headers/rebuild').rebuilder();
  var row;
  start({ headers: { 'Content-Type': 'application/json' } });
  while ((row = getRow())) {
    if (row.doc) {
      rebuild.add(row.doc);
    }
  }
  send(JSON.stringify({ docs: rebuild.changes() }));
}
