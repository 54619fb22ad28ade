// One line by which a person recognises a study or a series in a list of ids.

function text(dataset, tag) {
  var attribute = dataset[tag];
  var value = attribute && attribute.Value ? attribute.Value[0] : '';
  if (value !== null && typeof value === 'object') {
    value = value.Alphabetic || value.Ideographic || value.Phonetic || '';
  }
  return value === null || value === undefined ? '' : String(value);
}

function joined(parts) {
  return parts.filter(function (part) {
    return part !== '';
  }).join(' \u00b7 ');
}

function date(value) {
  return /^\d{8}$/.test(value) ? value.slice(0, 4) + '-' + value.slice(4, 6) + '-' + value.slice(6) : value;
}

exports.text = text;
exports.date = date;

// What headers begin with after their summary, by keyword: what a person in Fauxton looks for, and `_find` has indexes of.
var LEADING = {
  study: {
    PatientName: '00100010', PatientID: '00100020', StudyDate: '00080020', ModalitiesInStudy: '00080061',
    StudyDescription: '00081030', AccessionNumber: '00080050'
  },
  series: { Modality: '00080060', SeriesDate: '00080021', SeriesDescription: '0008103E', SeriesNumber: '00200011' }
};

function modalities(doc) {
  return Object.keys(doc.series).map(function (uid) {
    return doc.series[uid];
  }).filter(function (modality, index, all) {
    return modality && all.indexOf(modality) === index;
  }).sort();
}

exports.make = function (doc) {
  var dataset = doc.dataset;
  if (doc.type === 'study') {
    return joined([text(dataset, '00100010'), text(dataset, '00100020'), date(text(dataset, '00080020')),
      modalities(doc).join(' '), text(dataset, '00081030')]);
  }
  return joined([text(dataset, '00080060'), text(dataset, '0008103E'), 'series ' + (text(dataset, '00200011') || '-')]);
};

// The header with what tells what it is at its beginning: engines and databases keep the order of keys.
exports.lead = function (doc) {
  var leading = LEADING[doc.type];
  var first = {};
  ['_id', '_rev', 'type'].forEach(function (name) {
    if (doc[name] !== undefined) {
      first[name] = doc[name];
    }
  });
  first.summary = exports.make(doc);
  Object.keys(leading).forEach(function (keyword) {
    var value = keyword === 'ModalitiesInStudy' ? modalities(doc) : text(doc.dataset, leading[keyword]);
    if (value.length) {
      first[keyword] = value;
    }
  });
  Object.keys(doc).forEach(function (name) {
    if (first[name] === undefined && !leading[name]) {
      first[name] = doc[name];
    }
  });
  return first;
};
