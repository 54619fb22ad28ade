function (doc) {
  // Studies by each of their modalities, those of one modality newest last.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isStudy(doc)) {
    return;
  }
  rows.modalities(doc).forEach(function (modality) {
    emit([modality].concat(rows.when(doc.dataset), rows.uids(doc).study), rows.study(doc));
  });
}
