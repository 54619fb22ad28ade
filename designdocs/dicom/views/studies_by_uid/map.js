function (doc) {
  // Studies by Study Instance UID.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isStudy(doc)) {
    return;
  }
  emit(rows.uids(doc).study, rows.study(doc));
}
