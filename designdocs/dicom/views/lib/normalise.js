// One normalisation of text for stored keys and for query values (PS3.4 C.2.2.2.1 leaves matching of PN insensitive to
// case and accents to the server). shim/rewrite/normalise.py does the same; tests/designdocs/test_normalise.py compares them.
// The table of letters is large, and CouchDB compiles it anew for each view at every update of the index. So it is read only
// when a text has letters that may be in it.
var letters = null;

function plain(letter) {
  letters = letters || require('views/lib/tables/letters');
  return Object.prototype.hasOwnProperty.call(letters, letter) ? letters[letter] : letter;
}

// Kana with a voicing mark of its own, as half-width text has it: U+304B U+3099 is U+304C.
function voiced(pair) {
  var base = pair.charCodeAt(0);
  var mark = pair.charCodeAt(1) - 0x3098;
  if (base === 0x3046 || base === 0x30a6) {
    return mark === 1 ? String.fromCharCode(base + 0x4e) : pair;
  }
  return String.fromCharCode(base + mark);
}

// The kana that have a voiced form next to them; the second set has a semi-voiced one, too.
var VOICED = /[\u3046\u304b\u304d\u304f\u3051\u3053\u3055\u3057\u3059\u305b\u305d\u305f\u3061\u3064\u3066\u3068\u306f\u3072\u3075\u3078\u307b\u30a6\u30ab\u30ad\u30af\u30b1\u30b3\u30b5\u30b7\u30b9\u30bb\u30bd\u30bf\u30c1\u30c4\u30c6\u30c8\u30cf\u30d2\u30d5\u30d8\u30db]\u3099|[\u306f\u3072\u3075\u3078\u307b\u30cf\u30d2\u30d5\u30d8\u30db]\u309a/g;

exports.text = function (value) {
  return String(value)
    .replace(/[\u00a0-\uffef]/g, plain)
    .toLowerCase()
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/\u03c2/g, '\u03c3')
    .replace(VOICED, voiced)
    .replace(/[\u0000-\u0020\u007f]+/g, ' ')
    .replace(/^ | $/g, '');
};

// A person name: the delimiters of PS3.5 6.2.1 and a comma read as blanks, so "DOE^JOHN", "Doe, John" and "doe john" agree.
exports.name = function (value) {
  return exports.text(String(value).replace(/[\^,=]/g, ' '));
};
