// fuzzymatching=true (PS3.18 8.3.4.2): every word of the query finds some word of the name, in any order and in any component
// group. A word finds those that it begins; words of four letters and more also find those that sound alike.
var normalise = require('views/lib/normalise');
var sound = require('views/lib/sound');

var LONG = 4;

// How a word sounds; null for a code that too many words share.
function code(word) {
  var text = word.length >= LONG ? sound.code(word) : '';
  return text.length > 1 ? text : null;
}

exports.compile = function (value) {
  var wanted = sound.words(normalise.name(value)).map(function (word) {
    return { word: word, code: code(word) };
  });
  return function (stored) {
    var present = [];
    ['Alphabetic', 'Ideographic', 'Phonetic'].forEach(function (group) {
      if (typeof stored[group] === 'string') {
        present = present.concat(sound.words(normalise.name(stored[group])));
      }
    });
    return wanted.every(function (each) {
      return present.some(function (word) {
        return word.indexOf(each.word) === 0 ||
          (each.code !== null && code(word) === each.code);
      });
    });
  };
};
