function (doc) {
  var rows = require('views/lib/rows');
  if (!rows.isStudy(doc)) {
    return;
  }
  // One row for each spelling: alphabetic, ideographic and phonetic.
  rows.names(doc.dataset, '00100010').forEach(function (name) {
    emit([name].concat(rows.when(doc.dataset), rows.uids(doc).study), rows.study(doc));
  });
}
