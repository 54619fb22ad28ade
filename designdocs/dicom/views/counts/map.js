function (doc) {
  // How many series and instances each study and series has. Key: its document id; value: [series, instances], to be summed.
  // It uses no module: it runs for every document, and CouchDB compiles modules again at every update of the index.
  var uids = String(doc._id).split(':');
  if (doc.type === 'instance' && doc.dataset && doc.file) {
    emit(uids[0] + ':study', [0, 1]);
    emit(uids[0] + ':' + uids[1], [0, 1]);
  } else if (doc.type === 'series' && doc.dataset) {
    emit(uids[0] + ':study', [1, 0]);
  }
}
