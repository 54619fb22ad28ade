// What the index rows of studies, series and instances say: the values that lists match on and render.
var normalise = require('views/lib/normalise');
var sound = require('views/lib/sound');
var attributes = require('views/lib/attributes');

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// First value of an attribute as a string without padding, '' where there is none.
function first(dataset, tag) {
  var attribute = isObject(dataset) ? dataset[tag] : null;
  var value = isObject(attribute) && Array.isArray(attribute.Value) ? attribute.Value[0] : null;
  return value === null || value === undefined || typeof value === 'object' ? '' : String(value).replace(/^ +| +$/g, '');
}

// Numbers sort as numbers, and what has none comes last.
function number(dataset, tag) {
  var text = first(dataset, tag);
  var value = text === '' ? NaN : Number(text);
  return isFinite(value) ? value : 4294967295;
}

// Every normalised spelling of a PN attribute, over all values and component groups (PS3.5 6.2.1).
function names(dataset, tag) {
  var attribute = isObject(dataset) ? dataset[tag] : null;
  var found = [];
  (isObject(attribute) && Array.isArray(attribute.Value) ? attribute.Value : []).forEach(function (value) {
    ['Alphabetic', 'Ideographic', 'Phonetic'].forEach(function (group) {
      var key = isObject(value) && typeof value[group] === 'string' ? normalise.name(value[group]) : '';
      if (key && found.indexOf(key) < 0) {
        found.push(key);
      }
    });
  });
  return found;
}

function modalities(doc) {
  var found = [];
  var series = isObject(doc.series) ? doc.series : {};
  Object.keys(series).forEach(function (uid) {
    if (typeof series[uid] === 'string' && series[uid] && found.indexOf(series[uid]) < 0) {
      found.push(series[uid]);
    }
  });
  return found.sort();
}

function copy(dataset) {
  var result = {};
  Object.keys(dataset).forEach(function (tag) {
    result[tag] = dataset[tag];
  });
  return result;
}

// Uids of an instance or series document; null when the id is not one of ours.
function uids(doc) {
  var parts = String(doc._id).split(':');
  return { study: parts[0], series: parts[1], instance: parts[2] };
}

// A study's sort key: date and time of day as plain digits, newest last. What is no date sorts before all dates, so that
// a range of dates in an index holds what matches it and nothing else.
function when(dataset) {
  var date = first(dataset, '00080020').replace(/\./g, '');
  var time = first(dataset, '00080030').replace(/:/g, '');
  return [/^\d{8}$/.test(date) ? date : '', /^\d/.test(time) ? time : ''];
}

// Every code of the words of a PN attribute (views/lib/sound).
function sounds(dataset, tag) {
  var found = [];
  names(dataset, tag).forEach(function (name) {
    sound.words(name).forEach(function (word) {
      var code = sound.code(word);
      if (found.indexOf(code) < 0) {
        found.push(code);
      }
    });
  });
  return found;
}

// Characters, not UTF-16 code units: half a pair is no text.
var CHARACTERS = /[\ud800-\udbff][\udc00-\udfff]|[\s\S]/g;
// Longer beginnings are searched among those of this length; shim/plan.py knows it too.
var LONGEST_BEGINNING = 10;

// Every text that one of the values begins with, each once.
function beginnings(values) {
  var found = Object.create(null);
  values.forEach(function (value) {
    var text = '';
    (value.match(CHARACTERS) || []).slice(0, LONGEST_BEGINNING).forEach(function (character) {
      text += character;
      found[text] = true;
    });
  });
  return Object.keys(found);
}

exports.beginnings = beginnings;

function seriesWhen(dataset) {
  return [first(dataset, '00080021').replace(/\./g, ''), first(dataset, '00080031').replace(/:/g, '')];
}

// What people fixed in a header, without what is no fix.
function fixes(doc) {
  var found = {};
  Object.keys(isObject(doc.fixes) ? doc.fixes : {}).forEach(function (tag) {
    var fix = doc.fixes[tag];
    if (isObject(fix) && isObject(fix.value) && typeof fix.at === 'string') {
      found[tag] = fix;
    }
  });
  return found;
}

// Attributes that disagree among a header's instances and that nobody has decided on.
function disagreeing(doc) {
  var decided = fixes(doc);
  return Object.keys(isObject(doc.variants) ? doc.variants : {}).filter(function (tag) {
    return !decided[tag];
  });
}

exports.disagreeing = disagreeing;
exports.first = first;
exports.fixes = fixes;
exports.seriesWhen = seriesWhen;
exports.names = names;
exports.modalities = modalities;
exports.number = number;
exports.uids = uids;
exports.sounds = sounds;
exports.when = when;

exports.isStudy = function (doc) {
  return doc.type === 'study' && isObject(doc.dataset);
};

exports.isSeries = function (doc) {
  return doc.type === 'series' && isObject(doc.dataset);
};

exports.isInstance = function (doc) {
  return doc.type === 'instance' && isObject(doc.dataset) && isObject(doc.file);
};

exports.study = function (doc) {
  var dataset = copy(doc.dataset);
  var found = modalities(doc);
  dataset['00080061'] = found.length ? { vr: 'CS', Value: found } : { vr: 'CS' };
  return { dataset: dataset };
};

exports.series = function (doc) {
  return { study: uids(doc).study, dataset: doc.dataset };
};

exports.instance = function (doc) {
  var ids = uids(doc);
  var dataset = {};
  attributes.instance.forEach(function (tag) {
    if (doc.dataset[tag]) {
      dataset[tag] = doc.dataset[tag];
    }
  });
  dataset['00083002'] = { vr: 'UI', Value: [doc.file.transferSyntax] };
  return {
    study: ids.study,
    series: ids.series,
    dataset: dataset,
    file: { store: doc.file.store, size: doc.file.size, transferSyntax: doc.file.transferSyntax }
  };
};

// All that an instance's document has; a transfer syntax is no attribute of the data set (PS3.10 7.1).
exports.whole = function (doc) {
  var dataset = copy(doc.dataset);
  dataset['00083002'] = { vr: 'UI', Value: [doc.file.transferSyntax] };
  return { dataset: dataset };
};
