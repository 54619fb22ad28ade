function (doc) {
  // Series of a study in order of Series Number.
  if (doc.type !== 'series') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isSeries(doc)) {
    return;
  }
  var uids = rows.uids(doc);
  emit([uids.study, rows.number(doc.dataset, '00200011'), uids.series], rows.series(doc));
}
