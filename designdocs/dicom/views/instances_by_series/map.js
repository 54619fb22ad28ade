function (doc) {
  // Instances of a series in order of Instance Number, with what reading their bytes and frames takes.
  if (doc.type !== 'instance') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isInstance(doc)) {
    return;
  }
  var uids = rows.uids(doc);
  var value = rows.instance(doc);
  value.file = rows.file(doc);
  emit([uids.study, uids.series, rows.number(doc.dataset, '00200013'), uids.instance], value);
}
