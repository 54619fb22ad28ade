function (doc) {
  // Studies by Accession Number, those of one number newest last.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  var number = rows.isStudy(doc) ? rows.first(doc.dataset, '00080050') : '';
  if (!number) {
    return;
  }
  emit([number].concat(rows.when(doc.dataset), rows.uids(doc).study), rows.study(doc));
}
