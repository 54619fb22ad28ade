// Study and series headers: the attributes of a level once, merged from whatever the instances bring.
var levels = require('views/lib/attributes');

function isEmpty(attribute) {
  return !attribute || !(attribute.Value && attribute.Value.length || attribute.InlineBinary || attribute.BulkDataURI);
}

// The same text for equal values, whatever the order of their members.
function canonical(value) {
  if (Array.isArray(value)) {
    return '[' + value.map(canonical).join(',') + ']';
  }
  if (value !== null && typeof value === 'object') {
    return '{' + Object.keys(value).sort().map(function (key) {
      return JSON.stringify(key) + ':' + canonical(value[key]);
    }).join(',') + '}';
  }
  return JSON.stringify(value);
}

function same(a, b) {
  return canonical(a) === canonical(b);
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
    body: JSON.stringify({
      changed: changed,
      revision: doc ? doc._rev : null,
      variants: Object.keys(merged.variants)
    })
  }];
};

function pick(dataset, tags) {
  var picked = {};
  tags.forEach(function (tag) {
    if (dataset[tag]) {
      picked[tag] = dataset[tag];
    }
  });
  return picked;
}

// A header from all that its instances bring. What `stored` says now stays the current value while any of them brings it.
function rebuild(type, id, stored, updates) {
  var current = stored ? stored.dataset : {};
  var first = {};
  Object.keys(current).forEach(function (tag) {
    var kept = updates.some(function (update) {
      return update.attributes[tag] && same(update.attributes[tag], current[tag]);
    });
    if (kept) {
      first[tag] = current[tag];
    }
  });
  var header = { _id: id, type: type, summary: '', dataset: first, variants: {} };
  if (stored) {
    header._rev = stored._rev;
  }
  updates.forEach(function (update) {
    header = exports.merge(type, id, header, update);
  });
  return header;
}

// add() every document of a study, then changes() gives the headers that must be written or deleted.
exports.rebuilder = function () {
  var stored = {};
  var updates = {};

  function add(id, update) {
    var key = canonical(update);
    updates[id] = updates[id] || {};
    updates[id][key] = update;
  }

  return {
    add: function (doc) {
      var uids = doc._id.split(':');
      if (doc.type === 'study' || doc.type === 'series') {
        stored[doc._id] = doc;
      } else if (doc.type === 'instance') {
        var update = { series: uids[1], modality: text(doc.dataset, '00080060') };
        ['study', 'series'].forEach(function (type) {
          add(type === 'study' ? uids[0] + ':study' : uids[0] + ':' + uids[1], {
            series: update.series,
            modality: update.modality,
            attributes: pick(doc.dataset, levels[type])
          });
        });
      }
    },
    changes: function () {
      var docs = [];
      Object.keys(stored).forEach(function (id) {
        if (!updates[id]) {
          docs.push({ _id: id, _rev: stored[id]._rev, _deleted: true });
        }
      });
      Object.keys(updates).forEach(function (id) {
        var all = Object.keys(updates[id]).map(function (key) {
          return updates[id][key];
        });
        var header = rebuild(/:study$/.test(id) ? 'study' : 'series', id, stored[id], all);
        if (!stored[id] || !same(header, stored[id])) {
          docs.push(header);
        }
      });
      return docs;
    }
  };
};
