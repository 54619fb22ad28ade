function (doc) {
  if (doc.type !== 'series') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isSeries(doc)) {
    return;
  }
  // The bare UID, so that the series of many studies are one request; the list sorts by number.
  emit(rows.uids(doc).study, rows.series(doc));
}
