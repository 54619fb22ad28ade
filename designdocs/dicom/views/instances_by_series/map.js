function (doc) {
  if (doc.type !== 'instance') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isInstance(doc)) {
    return;
  }
  var uids = rows.uids(doc);
  emit([uids.study, uids.series, rows.number(doc.dataset, '00200013'), uids.instance], rows.instance(doc));
}
