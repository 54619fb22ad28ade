function (doc) {
  var rows = require('views/lib/rows');
  if (!rows.isSeries(doc)) {
    return;
  }
  emit(rows.uids(doc).series, rows.series(doc));
}
