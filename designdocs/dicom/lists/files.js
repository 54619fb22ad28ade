function (head, req) {
  // Id, revision and file of each instance without its data set, over documents.
  var rows = [];
  var row;
  start({ headers: { 'Content-Type': 'application/json' } });
  while ((row = getRow())) {
    if (row.doc && row.doc.type === 'instance') {
      rows.push({ id: row.doc._id, rev: row.doc._rev, file: row.doc.file });
    }
  }
  send(JSON.stringify({ rows: rows }));
}
