function (doc) {
  // Studies by date and time, newest last.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isStudy(doc)) {
    return;
  }
  emit(rows.when(doc.dataset).concat([rows.uids(doc).study]), rows.study(doc));
}
