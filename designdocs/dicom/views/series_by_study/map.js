function (doc) {
  // Series by study. The key is the bare UID, so that one request gets the series of many studies; the list sorts by number.
  if (doc.type !== 'series') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isSeries(doc)) {
    return;
  }
  emit(rows.uids(doc).study, rows.series(doc));
}
