function (doc) {
  // Studies by Patient ID, those of one ID newest last.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isStudy(doc)) {
    return;
  }
  emit([rows.first(doc.dataset, '00100020')].concat(rows.when(doc.dataset), rows.uids(doc).study), rows.study(doc));
}
