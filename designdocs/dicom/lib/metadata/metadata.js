// Metadata of instances as text, from their documents (PS3.18 10.4.1.1.2, F.2).
var modified = require('lib/metadata/modified');

// An opening quote inside a JSON string is escaped, so this can only be the name of a property and its relative URI.
var RELATIVE = /"BulkDataURI":"bulkdata\//g;

// Tags such as 60003000: engines take such names for indexes of an array and put them before all others.
var INDEX = /"[1-9]\d{7}":/;

function inOrder(value) {
  if (Array.isArray(value)) {
    return '[' + value.map(inOrder).join(',') + ']';
  }
  if (value === null || typeof value !== 'object') {
    return JSON.stringify(value);
  }
  var names = Object.keys(value);
  return '{' + (names.length && /^[0-9A-F]{8}$/.test(names[0]) ? names.sort() : names).map(function (name) {
    return JSON.stringify(name) + ':' + inOrder(value[name]);
  }).join(',') + '}';
}

// A data set as text in ascending order of tags (PS3.18 F.2.2). `dataset` is in this order but for such tags.
exports.text = function (dataset) {
  var text = JSON.stringify(dataset);
  return INDEX.test(text) ? inOrder(dataset) : text;
};

// A data set as text with absolute BulkDataURIs. id: of the instance's document.
exports.absolute = function (text, base, id) {
  var uids = id.split(':');
  var url = base + '/studies/' + uids[0] + '/series/' + uids[1] + '/instances/' + uids[2];
  return text.replace(RELATIVE, function () {
    return '"BulkDataURI":"' + url + '/bulkdata/';
  });
};

// base: the absolute URL of the DICOMweb root; corrections: values of corrections_by_study, the study's own first.
exports.render = function (doc, base, corrections) {
  if (doc.file && doc.file.datasetAttachment) {
    // A list cannot read attachments: shim/read/metadata.py puts the data set in this place.
    return JSON.stringify({ datasetAttachment: doc._id });
  }
  var dataset = corrections.length ? modified.dataset(doc, corrections) : doc.dataset;
  return exports.absolute(exports.text(dataset), base, doc._id);
};
