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

exports.make = function (doc) {
  var dataset = doc.dataset;
  if (doc.type === 'study') {
    var modalities = Object.keys(doc.series).map(function (uid) {
      return doc.series[uid];
    }).filter(function (modality, index, all) {
      return modality && all.indexOf(modality) === index;
    }).sort().join(' ');
    return joined([text(dataset, '00100010'), text(dataset, '00100020'), date(text(dataset, '00080020')), modalities,
      text(dataset, '00081030')]);
  }
  return joined([text(dataset, '00080060'), text(dataset, '0008103E'), 'series ' + (text(dataset, '00200011') || '-')]);
};
