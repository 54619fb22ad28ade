function (doc) {
  // Series by Series Instance UID.
  if (doc.type !== 'series') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isSeries(doc)) {
    return;
  }
  emit(rows.uids(doc).series, rows.series(doc));
}
