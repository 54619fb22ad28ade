function (doc) {
  // Instances by SOP Instance UID.
  if (doc.type !== 'instance') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isInstance(doc)) {
    return;
  }
  emit(rows.uids(doc).instance, rows.instance(doc));
}
