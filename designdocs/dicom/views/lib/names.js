// The search keys that names make: spellings, sounds, and what texts begin with.
var normalise = require('views/lib/normalise');
var sound = require('views/lib/sound');

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// Every normalised spelling of a PN attribute, over all values and component groups (PS3.5 6.2.1).
function spellings(dataset, tag) {
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

// Every code of the words of a PN attribute (views/lib/sound).
function sounds(dataset, tag) {
  var found = [];
  spellings(dataset, tag).forEach(function (name) {
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
// Longer beginnings are searched among those of this length; shim/rewrite/plan.py knows it too.
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

// A study that says more than this is looked at whole; shim/read/search/scan.py knows the sign for it.
var MOST_TEXT = 2000;
var TOO_LONG = '\uffff';

// All that a study's attributes say, a line each: names as keys, everything else as it is; the UID has an index.
function text(dataset, modalities) {
  var lines = modalities.slice();
  Object.keys(dataset).forEach(function (tag) {
    var attribute = dataset[tag];
    (tag !== '0020000D' && isObject(attribute) && Array.isArray(attribute.Value) ? attribute.Value : []).forEach(function (value) {
      if (typeof value === 'string') {
        lines.push(value);
      }
    });
    lines.push.apply(lines, spellings(dataset, tag));
  });
  var all = lines.filter(Boolean).join('\n');
  return all.length > MOST_TEXT ? TOO_LONG : all;
}

exports.spellings = spellings;
exports.text = text;
exports.sounds = sounds;
exports.beginnings = beginnings;
