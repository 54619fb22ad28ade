// The frame of the HTML pages: nothing from outside, every value escaped.
var limits = require('tables/limits');

// Colours of text and ground keep a contrast of 4.5:1 and more in both schemes (a test computes it).
var STYLE = [
  ':root{color-scheme:light dark;--ground:#fff;--panel:#f3f5f7;--text:#1c2127;--muted:#565f69;--line:#c9d0d7;--link:#0a51a8;',
  '--focus:#0a6cff;--bad:#a3121f;--good:#11632b;--c0:#0a51a8;--c1:#b34700;--c2:#11632b;--c3:#7a3ea1;--c4:#8a6d00;--c5:#b0123b;--c6:#5b6570}',
  '@media(prefers-color-scheme:dark){:root{--ground:#11151a;--panel:#1b2128;--text:#e4e9ee;--muted:#a3adb8;--line:#3a434d;',
  '--link:#85baff;--focus:#5aa5ff;--bad:#ff9a9a;--good:#85dba0;--c0:#85baff;--c1:#ffb27a;--c2:#85dba0;--c3:#d3a6f5;--c4:#e6cf6b;--c5:#ff9ab0;',
  '--c6:#a3adb8}}',
  '*{box-sizing:border-box}html{background:var(--ground);color:var(--text)}',
  'body{font:16px/1.5 system-ui,sans-serif;margin:0;overflow-wrap:anywhere}a{color:var(--link)}',
  '.skip{position:absolute;left:-99rem;padding:.6rem 1rem;background:var(--ground);z-index:1}.skip:focus{left:0}',
  'body>header{background:var(--panel);border-bottom:1px solid var(--line)}',
  'body>header nav,main,body>footer{max-width:68rem;margin:0 auto;padding:0 1rem}',
  'body>header nav{display:flex;flex-wrap:wrap;gap:0 1.2rem;align-items:center}',
  'body>header ul{display:flex;flex-wrap:wrap;list-style:none;margin:0;padding:0}',
  'body>header a{display:block;padding:.6rem .6rem;text-decoration:none}body>header a:hover{text-decoration:underline}',
  'body>header .brand{font-weight:bold;padding-left:0}body>header [aria-current]{box-shadow:inset 0 -3px var(--link)}',
  'main{padding-bottom:3rem}h1{font-size:1.5rem;margin:1.5rem 0 1rem}h2{font-size:1.2rem;margin-top:2rem}main:focus{outline:0}',
  'body>footer{border-top:1px solid var(--line);padding:1rem;color:var(--muted)}',
  'table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--muted)}',
  'th,td{text-align:left;vertical-align:top;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line)}',
  'th{font-size:.875rem;color:var(--muted);overflow-wrap:normal}.short{white-space:nowrap}.number{text-align:right;font-variant-numeric:tabular-nums}',
  'fieldset{border:1px solid var(--line);border-radius:4px;margin:1rem 0;padding:.5rem 1rem 1rem;min-width:0}',
  'legend{font-weight:bold}label{display:inline-block;padding:.15rem 0}',
  'input[type=text],input[type=search],input[type=date]{font:inherit;width:22rem;max-width:100%}',
  'input,button,select{font:inherit;max-width:100%}button,select{padding:.2rem .8rem;margin-right:.5rem}',
  '.note{color:var(--muted)}.long{max-height:8rem;overflow:auto;display:block}.value{overflow-wrap:anywhere}',
  '[role=alert],[role=status]{border-left:4px solid var(--bad);padding:.4rem .8rem}[role=status]{border-color:var(--good)}',
  ':focus-visible{outline:3px solid var(--focus);outline-offset:2px}',
  '.away{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}',
  '.row{display:flex;flex-wrap:wrap;gap:.6rem 1.2rem;align-items:flex-end;margin:1rem 0;padding:0;list-style:none}',
  'img{display:block;background:#000;border-radius:3px}.danger{color:var(--bad);font-weight:bold}',
  '.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(14rem,100%),1fr));gap:.6rem 1.2rem;margin:1rem 0}',
  '.facts dt{font-size:.875rem;color:var(--muted)}dd{margin:0}',
  '.figures{grid-template-columns:repeat(auto-fit,minmax(7rem,1fr))}.figures div{display:flex;flex-direction:column-reverse}.figures dd{font-size:1.6rem}',
  '.facts div:last-child{grid-column:1/-1}.figures div:last-child{grid-column:auto}.beside{margin-top:1rem}',
  '.beside{display:flex;flex-wrap:wrap;gap:1.2rem}.beside .facts{margin-top:0}.beside>div{flex:1 1 18rem}.fields p{display:flex;flex-direction:column;margin:0;flex:1 1 9rem;max-width:13rem}',
  '.fields p:last-child{flex-direction:row;align-items:center;max-width:none}.fields input{width:100%}',
  '.ways{padding:0;list-style:none}.ways li{padding:.25rem 0}nav>ol.row{margin:1rem 0 0;gap:0}nav>ol>li+li::before{content:"\\203a";padding:0 .5rem}',
  'figure{margin:1rem 0}svg{display:block;width:100%;height:auto}svg text{font-size:13px;fill:var(--muted)}.axis{stroke:var(--line)}',
  '.key{display:inline-block;width:.8rem;height:.8rem}' + [0, 1, 2, 3, 4, 5, 6].map(function (index) {
    return '.c' + index + '{fill:var(--c' + index + ')}';
  }).join(''),
  '.tree,.tree ol{padding-left:1.2rem;margin:0}main>.tree{padding:0}.tree ul{list-style:none}main>.tree{list-style:none}',
  '.tree li{padding:.15rem 0}.tree .name{font-weight:600}summary{cursor:pointer}pre,code{font-size:.9em}',
  '@media(max-width:45rem){.cards,.cards tbody,.cards td,.cards caption{display:block}',
  '.cards tr{display:flow-root}.cards img{float:left;margin:.3rem .8rem .3rem 0}',
  '.cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}',
  '.cards td{border:0;padding:.1rem 0;text-align:left;white-space:normal}.cards tr{border-bottom:1px solid var(--line);padding:.6rem 0}',
  '.cards td[data-label]::before{content:attr(data-label) ": ";color:var(--muted)}.cards td:empty{display:none}}'
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
var STYLE_HASH = '9C/q3oao5mwqZGpAGu7LQT1T1owVaA+wV8l3zXUFqe0=';
var SCRIPT_HASH = 'F+9UIPH0+Mw1MKy29h8OGD/37fA8nSQhbXCncHyoOWk=';

var ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;' };

exports.escape = function (text) {
  return String(text === null || text === undefined ? '' : text).replace(/[&<>"']/g, function (character) {
    return ENTITIES[character];
  });
};

// options: scripts (further ones as a page has them, their SHA-256 as base64), own (it loads one of this server), connects (its
// script asks this server).
// The type is given here, since CouchDB loses that of provides() at times and browsers then show the source.
exports.headers = function (options) {
  var scripts = [SCRIPT_HASH].concat(options.scripts || []).map(function (hash) {
    return '\'sha256-' + hash + '\'';
  });
  if (options.own) {
    scripts.push('\'self\'');
  }
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': 'default-src \'none\'; style-src \'sha256-' + STYLE_HASH + '\'; script-src ' + scripts.join(' ') +
      '; img-src \'self\'; ' + (options.connects ? 'connect-src \'self\'; ' : '') +
      'form-action \'self\'; base-uri \'none\'; frame-ancestors \'none\'',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
    'Cache-Control': 'no-store'
  };
};

exports.HEADERS = exports.headers({});

// What every page leads to, below the root of the server.
var PLACES = [
  ['studies', '/ui/studies', 'Studies'], ['upload', '/ui/upload', 'Upload'], ['conflicts', '/ui/conflicts', 'Conflicts'],
  ['status', '/ui/status', 'Status']
];

function navigation(root, here) {
  return '<header><nav aria-label="Pages"><a class="brand" href="' + exports.escape(root) + '/"' +
    (here === 'home' ? ' aria-current="page"' : '') + '>dicouch</a><ul>' + PLACES.map(function (place) {
    return '<li><a href="' + exports.escape(root + place[1]) + '"' + (place[0] === here ? ' aria-current="page"' : '') + '>' +
      place[2] + '</a></li>';
  }).join('') + '</ul></nav></header>\n';
}

// body: HTML, its values escaped by the caller. options: root (where the pages are, as `rootOf` gives it; without it the page
// leads nowhere), here (which of PLACES, or home), scripts (sources of further ones, whose SHA-256 the headers name), refresh (seconds
// after which it is loaded again).
exports.page = function (title, body, options) {
  var given = options || {};
  var isRooted = typeof given.root === 'string';
  return '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    (given.refresh ? '<meta http-equiv="refresh" content="' + Number(given.refresh) + '">' : '') + '<title>' + exports.escape(title) + ' \u2013 dicouch</title>' +
    '<style>' + STYLE + '</style></head>\n<body>\n<a class="skip" href="#main">Skip to the content</a>\n' +
    (isRooted ? navigation(given.root, given.here) : '') +
    '<main id="main" tabindex="-1">\n<h1>' + exports.escape(title) + '</h1>\n' + body + '\n</main>' +
    [SCRIPT].concat(given.scripts || []).map(function (script) {
      return '\n<script>' + script + '</script>';
    }).join('') + '\n</body>\n</html>\n';
};

// A table that becomes a stack of cards on a phone. The roles say that it is a table there, too.
// columns: [{ title, kind: 'number' for figures, 'short' for what stays on one line, bare: true where a card needs no title }],
// rows: lists of HTML, one a column.
exports.table = function (caption, columns, rows) {
  return '<table class="cards" role="table"><caption>' + exports.escape(caption) + '</caption><thead role="rowgroup"><tr role="row">' +
    columns.map(function (column) {
      return '<th scope="col" role="columnheader"' + (column.kind ? ' class="' + column.kind + '"' : '') + '>' + exports.escape(column.title) + '</th>';
    }).join('') + '</tr></thead><tbody role="rowgroup">\n' + rows.map(function (cells) {
    return '<tr role="row">' + cells.map(function (cell, index) {
      var column = columns[index];
      return '<td role="cell"' + (column.kind ? ' class="' + column.kind + '"' : '') +
        (column.bare ? '' : ' data-label="' + exports.escape(column.title) + '"') + '>' + cell + '</td>';
    }).join('') + '</tr>\n';
  }).join('') + '</tbody></table>\n';
};

// The documents of a study as a range of _all_docs.
exports.studyRange = function (study) {
  return 'include_docs=true&startkey=' + encodeURIComponent(JSON.stringify(study + ':')) +
    '&endkey=' + encodeURIComponent(JSON.stringify(study + ':' + limits.highest));
};

function isPath(text) {
  return typeof text === 'string' && /^\/(?![/\\])[^\\]*$/.test(text);
}

// Where the shim serves the pages of conflicts, when the shim asks: it must be a path of this host.
exports.place = function (req) {
  return isPath(req.query.ui) ? req.query.ui : '';
};

// Where the shim serves all pages: '' or a path of this host without a slash at its end; undefined for anything else.
// given: what it says itself, or the place of the pages of conflicts.
exports.rootOf = function (given) {
  return given === '' || isPath(given) ? given.replace(/\/ui\/conflicts$/, '').replace(/\/+$/, '') : undefined;
};

exports.STYLE = STYLE;
exports.SCRIPT = SCRIPT;
