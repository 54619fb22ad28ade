// Headers of studies and series: the attributes that their instances share, merged from all instances.
var attributes = require('tables/levels');
var compare = require('lib/headers/compare');
var summary = require('lib/headers/summary');

// The most differing values that a header keeps of an attribute, and the longest text of all: a document has a limit.
var MOST_VALUES = 50;
var MOST_TEXT = 500000;

// A fix lies over the value that instances brought: merging takes that one, readers get the fix.
function lift(header) {
  Object.keys(header.fixes || {}).forEach(function (tag) {
    if (header.fixes[tag].original) {
      header.dataset[tag] = header.fixes[tag].original;
    } else {
      delete header.dataset[tag];
    }
  });
}

function lay(header) {
  Object.keys(header.fixes || {}).forEach(function (tag) {
    header.fixes[tag].original = header.dataset[tag] || null;
    header.dataset[tag] = header.fixes[tag].value;
  });
}

// Merges one attribute: the first value stays, a differing one is kept beside it with the series that it came from.
function mergeAttribute(dataset, variants, tag, attribute, series) {
  if (compare.isBulk(attribute)) {
    return;
  }
  if (compare.isEmpty(dataset[tag])) {
    if (!dataset[tag] || !compare.isEmpty(attribute)) {
      dataset[tag] = attribute;
    }
    return;
  }
  if (compare.isEmpty(attribute) || compare.same(dataset[tag], attribute) || typeof attributes.beside[tag] === 'string') {
    return;
  }
  var known = variants[tag] || [];
  var entry = known.filter(function (candidate) {
    return compare.same(candidate.value, attribute);
  })[0];
  if (!entry) {
    if (known.length >= MOST_VALUES || (known.length && JSON.stringify(variants).length > MOST_TEXT)) {
      return;
    }
    entry = { value: attribute, series: [] };
    variants[tag] = known.concat([entry]);
  }
  if (entry.series.indexOf(series) < 0) {
    entry.series.push(series);
  }
}

// doc: the header as stored or null; update: { attributes, series, modality, override }. Returns the merged header.
exports.merge = function (type, id, doc, update) {
  var merged = doc ? JSON.parse(JSON.stringify(doc)) : { _id: id, type: type, summary: '', dataset: {}, variants: {} };
  merged.variants = merged.variants || {};
  if (type === 'study') {
    merged.series = merged.series || {};
    // A person's fix changes the Modality of a series, further instances do not.
    if (!merged.series[update.series] || update.override) {
      merged.series[update.series] = update.modality || '';
    }
  }
  lift(merged);
  Object.keys(update.attributes).forEach(function (tag) {
    mergeAttribute(merged.dataset, merged.variants, tag, update.attributes[tag], update.series);
  });
  lay(merged);
  return summary.lead(merged);
};

// Attributes that disagree and that nobody has decided on. Older headers have variants of what is not of their level now.
exports.open = function (header) {
  return Object.keys(header.variants || {}).filter(function (tag) {
    return typeof attributes[header.type][tag] === 'string' && !(header.fixes && header.fixes[tag]);
  });
};

// The _update function of both levels: writes only when something changed.
exports.update = function (type, doc, req) {
  var update = JSON.parse(req.body);
  var merged = exports.merge(type, req.id || update.id, doc, update);
  var changed = !doc || compare.canonical(doc) !== compare.canonical(merged);
  return [changed ? merged : null, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      changed: changed,
      revision: doc ? doc._rev : null,
      variants: exports.open(merged)
    })
  }];
};

exports.mergeAttribute = mergeAttribute;
exports.lay = lay;
exports.lift = lift;
