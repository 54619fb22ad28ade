function (doc) {
  // Studies by each spelling of the patient's name (alphabetic, ideographic, phonetic), those of one newest last.
  if (doc.type !== 'study') {
    return;
  }
  var rows = require('views/lib/rows');
  var names = require('views/lib/names');
  if (!rows.isStudy(doc)) {
    return;
  }
  names.spellings(doc.dataset, '00100010').forEach(function (name) {
    emit([name].concat(rows.when(doc.dataset), rows.uids(doc).study), rows.study(doc));
  });
}
