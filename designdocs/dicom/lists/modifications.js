function (head, req) {
  // Over the instances of a study or series: which attributes of each differ from what people fixed.
  var modified = require('lib/metadata/modified');
  var corrections = require('lib/search/request').corrections(req);
  var found = {};
  var row;
  start({ headers: { 'Content-Type': 'application/json' } });
  while ((row = getRow())) {
    var changes = row.doc && row.doc.type === 'instance' ? modified.changes(row.doc, corrections) : [];
    if (changes.length) {
      found[row.doc._id] = {
        ordered: modified.isOrdered(row.doc),
        tags: changes.map(function (change) {
          return change.tag;
        })
      };
    }
  }
  send(JSON.stringify(found));
}
