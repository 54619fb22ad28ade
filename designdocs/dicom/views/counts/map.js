function (doc) {
  // How much each study and series has. Key: its document id; value: [series, instances, bytes of their files that are here].
  // All rows together have each instance twice.
  // It uses no module: it runs for every document, and CouchDB compiles modules again at every update of the index.
  var uids = String(doc._id).split(':');
  if (doc.type === 'instance' && doc.dataset && doc.file) {
    var size = typeof doc.file.size === 'number' && doc.file.store !== 'none' ? doc.file.size : 0;
    emit(uids[0] + ':study', [0, 1, size]);
    emit(uids[0] + ':' + uids[1], [0, 1, size]);
  } else if (doc.type === 'series' && doc.dataset) {
    emit(uids[0] + ':study', [1, 0, 0]);
  }
}
