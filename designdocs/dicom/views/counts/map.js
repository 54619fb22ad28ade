function (doc) {
  // Key: a study's or a series' document id; value: [series, instances]. The reduce adds them up.
  var rows = require('views/lib/rows');
  var uids = rows.uids(doc);
  if (rows.isInstance(doc)) {
    emit(uids.study + ':study', [0, 1]);
    emit(uids.study + ':' + uids.series, [0, 1]);
  } else if (rows.isSeries(doc)) {
    emit(uids.study + ':study', [1, 0]);
  }
}
