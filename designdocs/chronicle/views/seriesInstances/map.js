function (doc) {
  // Instances of a series, by Series Instance UID: [SOP Class UID, SOP Instance UID].
  if (doc.type !== 'instance' || !doc.dataset || typeof doc.dataset !== 'object') {
    return;
  }
  var values = require('views/lib/values');
  emit(values.of(doc, '0020000E', 'UnspecifiedSeriesUID'), [
    values.of(doc, '00080016', 'UnspecifiedClassUID'), values.of(doc, '00080018', 'UnspecifiedInstanceUID')
  ]);
}
