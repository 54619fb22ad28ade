// How a word of a name sounds, as a short code: after Soundex (Russell 1918), with two differences. The first letter is
// coded like the others (Cathy and Kathy agree), and nothing is cut off or padded, so the code of a word's beginning is the
// beginning of the word's code: one range of an index holds both what a prefix and what a sound finds.
// Words come normalised (views/lib/normalise). shim/rewrite/normalise.py does the same; tests/designdocs/test_sound.py compares them.

// The letters by how they are spoken. Vowels part two equal sounds (Tymczak: 3522), silent letters do not; neither has a code
// behind the first letter.
var letters = require('views/lib/tables/sound');

var CODES = {};
Object.keys(letters.classes).forEach(function (code) {
  letters.classes[code].split('').forEach(function (letter) {
    CODES[letter] = code;
  });
});

// Characters, not UTF-16 code units.
var CHARACTERS = /[\ud800-\udbff][\udc00-\udfff]|[\s\S]/g;

// Letters of other scripts stand for themselves; a word of silent letters has the code ''.
exports.code = function (word) {
  var code = '';
  var last = '';
  (word.match(CHARACTERS) || []).forEach(function (letter, position) {
    if (letters.silent.indexOf(letter) >= 0) {
      return;
    }
    if (letters.vowels.indexOf(letter) >= 0) {
      code += position === 0 ? '0' : '';
      last = '';
      return;
    }
    var own = CODES[letter] || letter;
    code += own === last ? '' : own;
    last = own;
  });
  return code;
};

// The words of a normalised name.
exports.words = function (name) {
  return name.split(/[ .-]+/).filter(function (word) {
    return word !== '';
  });
};
