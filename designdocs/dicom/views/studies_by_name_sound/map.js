function (doc) {
  var rows = require('views/lib/rows');
  if (!rows.isStudy(doc)) {
    return;
  }
  // One row for each word of the patient's name, by what it sounds like; the document itself is read with include_docs.
  rows.sounds(doc.dataset, '00100010').forEach(function (code) {
    emit([code].concat(rows.when(doc.dataset), rows.uids(doc).study), null);
  });
}
