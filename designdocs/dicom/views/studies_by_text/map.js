function (doc) {
  // One row for each way to begin a name, an ID, an accession number or the sound of a name's word, so that all studies with
  // one beginning stand together, newest last. The rows are small: documents are read with include_docs.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  var names = require('views/lib/names');
  if (!rows.isStudy(doc)) {
    return;
  }
  var place = rows.when(doc.dataset).concat(rows.uids(doc).study);
  var wanted = {
    PatientName: names.spellings(doc.dataset, '00100010'),
    PatientID: [rows.first(doc.dataset, '00100020')],
    AccessionNumber: [rows.first(doc.dataset, '00080050')],
    sound: names.sounds(doc.dataset, '00100010')
  };
  Object.keys(wanted).forEach(function (kind) {
    names.beginnings(wanted[kind]).forEach(function (beginning) {
      emit([kind, beginning].concat(place), null);
    });
  });
  // And one for each three characters that an attribute contains: PatientName=*SMITH* looks at those with "smi", or "mit",
  // or "ith". In this view, so that CouchDB compiles what both need once.
  names.containing(doc.dataset).forEach(function (pair) {
    emit(['*' + pair[0] + '*', pair[1]].concat(place), null);
  });
}
