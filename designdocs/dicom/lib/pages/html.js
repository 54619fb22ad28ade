// The frame of the HTML pages: nothing from outside, every value escaped.
var limits = require('tables/limits');

var STYLE = [
  ':root{color-scheme:light dark}',
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}',
  'h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}',
  'table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;',
  'border-bottom:1px solid #8886}',
  'fieldset{border:1px solid #8888;border-radius:4px;margin:1rem 0;padding:.5rem 1rem 1rem}legend{font-weight:bold}',
  'label{display:inline-block;padding:.15rem 0}input[type=text]{font:inherit;width:22rem;max-width:100%;box-sizing:border-box}',
  'button,select{font:inherit;padding:.2rem .8rem;margin-right:.5rem}.value{overflow-wrap:anywhere}',
  '.note{color:#666;color:color-mix(in srgb,currentColor 65%,transparent)}.long{max-height:8rem;overflow:auto;display:block}',
  '[role=alert],[role=status]{border-left:4px solid #b00;padding:.4rem .8rem}[role=status]{border-color:#080}',
  ':focus-visible{outline:3px solid #06c;outline-offset:2px}'
].join('\n');

// Typing another value chooses it; Escape puts a form back as it was. Without scripts everything else works the same.
var SCRIPT = [
  '(function () {',
  '  document.addEventListener("input", function (event) {',
  '    var radio = document.getElementById(event.target.getAttribute("data-chooses") || " ");',
  '    if (radio) { radio.checked = true; }',
  '  });',
  '  document.addEventListener("keydown", function (event) {',
  '    if (event.key === "Escape" && event.target.form) { event.target.form.reset(); event.preventDefault(); }',
  '  });',
  '}());'
].join('\n');

// Their SHA-256, so that nothing else in a page is run or applied (a test holds them together).
var STYLE_HASH = '2cm8abg1MKdSDYB6GBfCf/OjrcJNfEw3yxx6YKualQk=';
var SCRIPT_HASH = 'F+9UIPH0+Mw1MKy29h8OGD/37fA8nSQhbXCncHyoOWk=';

var ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;' };

exports.escape = function (text) {
  return String(text === null || text === undefined ? '' : text).replace(/[&<>"']/g, function (character) {
    return ENTITIES[character];
  });
};

// The type is given here, since CouchDB loses that of provides() at times and browsers then show the source.
exports.HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': 'default-src \'none\'; style-src \'sha256-' + STYLE_HASH + '\'; script-src \'sha256-' + SCRIPT_HASH +
    '\'; form-action \'self\'; base-uri \'none\'; frame-ancestors \'none\'',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cache-Control': 'no-store'
};

// body: HTML, its values escaped by the caller.
exports.page = function (title, body) {
  return '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>' + exports.escape(title) + '</title>' +
    '<style>' + STYLE + '</style></head>\n<body>\n<h1>' + exports.escape(title) + '</h1>\n' + body +
    '\n<script>' + SCRIPT + '</script>\n</body>\n</html>\n';
};

// The documents of a study as a range of _all_docs.
exports.studyRange = function (study) {
  return 'include_docs=true&startkey=' + encodeURIComponent(JSON.stringify(study + ':')) +
    '&endkey=' + encodeURIComponent(JSON.stringify(study + ':' + limits.highest));
};

// Where the shim serves the pages, when the shim asks: it must be a path of this host.
exports.place = function (req) {
  var ui = req.query.ui;
  return typeof ui === 'string' && /^\/(?![/\\])[^\\]*$/.test(ui) ? ui : '';
};

exports.STYLE = STYLE;
exports.SCRIPT = SCRIPT;
