// The search keys that texts make: spellings and sounds of names, what texts begin with and what they contain.
var normalise = require('views/lib/normalise');
var sound = require('views/lib/sound');
var contained = require('views/lib/tables/contained');

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

// The pieces of `length` characters that the values have, each once; '' alone where they are too many or the values too long:
// such a study is looked at in every search.
function pieces(values) {
  var found = Object.create(null);
  if (values.join('').length > contained.longest) {
    return [''];
  }
  values.forEach(function (value) {
    var characters = value.match(CHARACTERS) || [];
    for (var at = 0; at + contained.length <= characters.length; at += 1) {
      found[characters.slice(at, at + contained.length).join('')] = true;
    }
  });
  var all = Object.keys(found);
  return all.length > contained.most ? [''] : all;
}

// What an attribute's values are matched as: names as their spellings, texts without padding (lib/match/values).
function texts(dataset, tag) {
  var attribute = isObject(dataset) ? dataset[tag] : null;
  return (isObject(attribute) && Array.isArray(attribute.Value) ? attribute.Value : []).filter(function (value) {
    return typeof value === 'string';
  }).map(function (value) {
    return value.replace(/^[ \u0000]+|[ \u0000]+$/g, '');
  }).concat(spellings(dataset, tag));
}

// [keyword, piece] for each piece of the attributes that are searched by what they contain.
function containing(dataset) {
  var found = [];
  Object.keys(contained.attributes).forEach(function (tag) {
    pieces(texts(dataset, tag)).forEach(function (piece) {
      found.push([contained.attributes[tag], piece]);
    });
  });
  return found;
}

exports.spellings = spellings;
exports.sounds = sounds;
exports.beginnings = beginnings;
exports.containing = containing;
