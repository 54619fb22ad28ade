function (doc) {
  var rows = require('views/lib/rows');
  if (!rows.isInstance(doc)) {
    return;
  }
  emit(rows.uids(doc).instance, rows.instance(doc));
}
