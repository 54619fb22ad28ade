function (doc) {
  // Instances by where they belong: [[institution, patient], [study], [series], instance], to be counted by group_level.
  if (doc.type !== 'instance' || !doc.dataset || typeof doc.dataset !== 'object') {
    return;
  }
  var values = require('views/lib/values');
  emit([
    [values.of(doc, '00080080', 'UnspecifiedInstitution'), values.of(doc, '00100020', 'UnspecifiedPatientID')],
    [values.of(doc, '00081030', 'UnspecifiedStudyDescription'), values.of(doc, '0020000D', 'UnspecifiedStudyUID')],
    [
      values.of(doc, '00080060', 'UnspecifiedModality'),
      values.of(doc, '0008103E', 'UnspecifiedSeriesDescription'),
      values.of(doc, '0020000E', 'UnspecifiedSeriesUID')
    ],
    values.of(doc, '00080018', 'UnspecifiedInstanceUID')
  ], 1);
}
