// How a word of a name sounds, as a short code: after Soundex (Russell 1918), with two differences. The first letter is
// coded like the others (Cathy and Kathy agree), and nothing is cut off or padded, so the code of a word's beginning is the
// beginning of the word's code: one range of an index holds both what a prefix and what a sound finds.
// shim/rewrite/sound.py is its twin: tests/fixtures/sound.json holds both. Words come normalised (views/lib/normalise).

// Letters by the place where they are spoken; Greek and Cyrillic ones with the Latin ones they sound like.
var CLASSES = {
  '1': 'bfpvw\u03b2\u03c0\u03c6\u03c8\u0431\u043f\u0432\u0444',
  '2': 'cgjkqsxz\u03b3\u03b6\u03ba\u03be\u03c3\u03c7\u0433\u0436\u0437\u043a\u0441\u0445\u0446\u0447\u0448\u0449\u0453\u045c',
  '3': 'dt\u03b4\u03b8\u03c4\u0434\u0442',
  '4': 'l\u03bb\u043b',
  '5': 'mn\u03bc\u03bd\u043c\u043d',
  '6': 'r\u03c1\u0440'
};
// Vowels part two equal sounds (Tymczak: 3522), h and the Cyrillic signs do not; neither has a code behind the first letter.
var VOWELS = 'aeiouy\u03b1\u03b5\u03b7\u03b9\u03bf\u03c5\u03c9\u0430\u0435\u0438\u0439\u043e\u0443\u044b\u044d\u044e\u044f\u0456\u0457';
var SILENT = 'h\'\u044a\u044c';

var CODES = {};
Object.keys(CLASSES).forEach(function (code) {
  CLASSES[code].split('').forEach(function (letter) {
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
    if (SILENT.indexOf(letter) >= 0) {
      return;
    }
    if (VOWELS.indexOf(letter) >= 0) {
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
