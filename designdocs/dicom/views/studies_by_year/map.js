function (doc) {
  // Studies by year, by each of their modalities, and by month, to be counted: the picture of the home page.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  if (!rows.isStudy(doc)) {
    return;
  }
  var date = rows.when(doc.dataset)[0];
  var modalities = rows.modalities(doc);
  (modalities.length ? modalities : ['']).forEach(function (modality) {
    emit([date.slice(0, 4), modality, date.slice(4, 6)], null);
  });
}
