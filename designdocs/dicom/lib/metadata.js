// Metadata lists: instance documents in, the DICOM JSON Model out (PS3.18 10.4.1.1.2, F.2).
var modified = require('lib/modified');

// An opening quote inside a JSON string is escaped, so this can only be the name of a property and its relative URI.
var RELATIVE = /"BulkDataURI":"bulkdata\//g;

// base: the absolute URL of the DICOMweb root; corrections: values of corrections_by_study.
exports.render = function (doc, base, corrections) {
  var uids = doc._id.split(':');
  var url = base + '/studies/' + uids[0] + '/series/' + uids[1] + '/instances/' + uids[2];
  var dataset = corrections.length ? modified.dataset(doc, corrections) : doc.dataset;
  return JSON.stringify(dataset).replace(RELATIVE, function () {
    return '"BulkDataURI":"' + url + '/bulkdata/';
  });
};
