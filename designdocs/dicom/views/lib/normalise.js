// One normalisation of text for stored keys and for query values (PS3.4 C.2.2.2.1, C.2.2.2.4 leave PN matching
// insensitive to case and accents to the server). shim/normalise.py is its twin: tests/fixtures/normalise.json holds both.

// Letters that Unicode does not decompose, as people type them.
var LETTERS = {
  '\u00df': 'ss', '\u00e6': 'ae', '\u00f8': 'o', '\u0111': 'd', '\u00f0': 'd', '\u0142': 'l', '\u0153': 'oe',
  '\u0131': 'i', '\u00fe': 'th', '\u0127': 'h', '\u0167': 't', '\u03c2': '\u03c3'
};

exports.text = function (value) {
  return String(value)
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[\u00df\u00e6\u00f8\u0111\u00f0\u0142\u0153\u0131\u00fe\u0127\u0167\u03c2]/g, function (letter) {
      return LETTERS[letter];
    })
    .normalize('NFC')
    .replace(/[\u0000-\u0020\u007f\u00a0\u3000]+/g, ' ')
    .replace(/^ | $/g, '');
};

// A person name: the delimiters of PS3.5 6.2.1 and a comma read as blanks, so "DOE^JOHN", "Doe, John" and "doe john" agree.
exports.name = function (value) {
  return exports.text(String(value).replace(/[\^,=]/g, ' '));
};
