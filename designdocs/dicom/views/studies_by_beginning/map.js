function (doc) {
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  var names = require('views/lib/names');
  if (!rows.isStudy(doc)) {
    return;
  }
  // What searches that no other index serves look through: with the beginnings, so that CouchDB compiles the table of letters
  // once for both.
  emit(['text'].concat(rows.when(doc.dataset), rows.uids(doc).study), names.text(doc.dataset, rows.modalities(doc)));
  // One row for each way to begin a name, an ID, an accession number or the sound of a name's word, so that all studies with
  // one beginning stand together, newest last. The rows are small: documents are read with include_docs.
  var wanted = {
    PatientName: names.spellings(doc.dataset, '00100010'),
    PatientID: [rows.first(doc.dataset, '00100020')],
    AccessionNumber: [rows.first(doc.dataset, '00080050')],
    sound: names.sounds(doc.dataset, '00100010')
  };
  Object.keys(wanted).forEach(function (kind) {
    names.beginnings(wanted[kind]).forEach(function (beginning) {
      emit([kind, beginning].concat(rows.when(doc.dataset), rows.uids(doc).study), null);
    });
  });
}
