// Study and series headers: the attributes of a level once, merged from whatever the instances bring.

function isEmpty(attribute) {
  return !attribute || !(attribute.Value && attribute.Value.length || attribute.InlineBinary || attribute.BulkDataURI);
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

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

// One line by which a person recognises the document in a list of ids.
function summary(doc) {
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
}

// Set union of one attribute: the first value stays, a differing one is kept beside it with the series it came from.
function mergeAttribute(dataset, variants, tag, attribute, series) {
  if (isEmpty(dataset[tag])) {
    if (!dataset[tag] || !isEmpty(attribute)) {
      dataset[tag] = attribute;
    }
    return;
  }
  if (isEmpty(attribute) || same(dataset[tag], attribute)) {
    return;
  }
  var known = (variants[tag] = variants[tag] || []);
  var entry = known.filter(function (candidate) {
    return same(candidate.value, attribute);
  })[0];
  if (!entry) {
    entry = { value: attribute, series: [] };
    known.push(entry);
  }
  if (entry.series.indexOf(series) < 0) {
    entry.series.push(series);
  }
}

// doc: the header as stored or null; update: { attributes, series, modality }. Returns the merged header.
exports.merge = function (type, id, doc, update) {
  var merged = doc ? JSON.parse(JSON.stringify(doc)) : { _id: id, type: type, summary: '', dataset: {}, variants: {} };
  merged.variants = merged.variants || {};
  if (type === 'study') {
    merged.series = merged.series || {};
    if (!merged.series[update.series]) {
      merged.series[update.series] = update.modality || '';
    }
  }
  Object.keys(update.attributes).forEach(function (tag) {
    mergeAttribute(merged.dataset, merged.variants, tag, update.attributes[tag], update.series);
  });
  merged.summary = summary(merged);
  return merged;
};

// The _update function of both levels: writes only when something changed.
exports.update = function (type, doc, req) {
  var update = JSON.parse(req.body);
  var merged = exports.merge(type, req.id || update.id, doc, update);
  var changed = !doc || !same(doc, merged);
  return [changed ? merged : null, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ changed: changed, variants: Object.keys(merged.variants) })
  }];
};
