// The page to upload files and folders: a form, which assets/upload.js makes more of where scripts run.
var html = require('lib/pages/html');

var esc = html.escape;

// What the codes of failures and warnings say: PS3.18 Table I.2-1 and I.2-2, PS3.7 Annex C, PS3.4 Table GG.4-2.
var REASONS = {
  '0106': 'an attribute has an invalid value', '0110': 'processing failure',
  '0111': 'another instance with this SOP Instance UID is stored', '0120': 'an attribute is missing',
  '0121': 'an attribute has no value', '0122': 'its SOP Class cannot be stored', '0124': 'you are not allowed to store',
  'A7xx': 'out of resources', 'A9xx': 'the data do not fit their description', 'A901': 'of another study',
  'B000': 'coerced', 'B007': 'stored, though the data do not fit their description', 'C122': 'its transfer syntax cannot be stored',
  'Cxxx': 'not a DICOM file, or one that cannot be understood'
};

function hex(code) {
  return ('000' + code.toString(16).toUpperCase()).slice(-4);
}

// The words for a code, as assets/dicomfiles.js finds them.
exports.reason = function (code) {
  var name = hex(code);
  return (REASONS[name] || REASONS[name.slice(0, 2) + 'xx'] || REASONS[name.slice(0, 1) + 'xxx'] || 'refused') + ' (' + name + 'H)';
};

function plural(number, one) {
  return number + ' ' + one + (number === 1 ? '' : 's');
}

// What became of a form that was sent without scripts. found: stored (how many), failed (how many), told ([{ name, code,
// comment, isStored }], those of which there is something to tell), studies ([[UID, instances]]), complaint.
function results(found, studies) {
  var text = '<div role="' + (found.failed || found.complaint ? 'alert' : 'status') + '" tabindex="-1" autofocus>' +
    plural(found.stored, 'instance') + ' stored, ' + plural(found.failed, 'file') + ' not stored.' +
    (found.complaint ? ' The upload ended early: ' + esc(found.complaint) : '') + '</div>\n';
  if (found.studies.length) {
    text += '<h2>Stored</h2>\n<ul>' + found.studies.map(function (one) {
      return '<li><a href="' + esc(studies + '/' + encodeURIComponent(one[0])) + '">' + esc(one[0]) + '</a> ' + plural(one[1], 'instance') + '</li>';
    }).join('') + '</ul>\n';
  }
  if (found.told.length) {
    text += html.table('Files of which there is something to tell', [{ title: 'File', bare: true }, { title: 'Result' }, { title: 'Why' }],
      found.told.map(function (one) {
        return [esc(one.name), one.isStored ? 'stored' : 'not stored',
          esc([one.code ? exports.reason(one.code) : '', one.comment].filter(Boolean).join(': '))];
      }));
  }
  return text;
}

// What assets/upload.js fills: the whole, one row a file, and the studies.
function work(given, studies) {
  var columns = ['File', 'Size', 'Progress', 'Why'];
  return '<section id="work" hidden aria-labelledby="going" data-target="' + esc(given.target) + '" data-studies="' + esc(studies) +
    '" data-reasons="' + esc(JSON.stringify(REASONS)) + '">\n<h2 id="going">This upload</h2>\n' +
    '<p><progress id="all" max="1" value="0" aria-label="All files"></progress></p>\n<p id="sum"></p>\n<p id="told" role="status"></p>\n' +
    '<p><button type="button" id="cancel" disabled>Cancel</button><button type="button" id="retry" disabled>Try again</button></p>\n' +
    '<div id="studies" hidden><h3>Stored</h3><ul id="stored"></ul></div>\n' +
    '<p><label for="which">Show</label> <select id="which"><option value="all">all files</option><option value="way">under way</option>' +
    '<option value="stored">stored</option><option value="not">not stored</option></select> ' +
    '<button type="button" id="back" disabled>Back</button><button type="button" id="on" disabled>On</button><span id="range"></span></p>\n' +
    '<table class="cards" role="table"><caption>Files</caption><thead role="rowgroup"><tr role="row">' + columns.map(function (title) {
    return '<th scope="col" role="columnheader">' + title + '</th>';
  }).join('') + '<th scope="col" role="columnheader"><span class="away">Try again</span></th></tr></thead>' +
    '<tbody id="rows" role="rowgroup"></tbody></table>\n<template id="row"><tr role="row"><td role="cell"></td>' +
    '<td role="cell" data-label="Size"></td><td role="cell" data-label="Progress"><progress hidden aria-label="Sent"></progress> <span></span></td>' +
    '<td role="cell" data-label="Why"></td><td role="cell"><button type="button" hidden>Try again</button></td></tr></template>\n</section>\n';
}

// given: root, target (of store requests), token, problem (why a form was refused), results.
exports.page = function (given) {
  var root = html.rootOf(given.root) || '';
  var body = given.problem ? '<p role="alert" tabindex="-1" autofocus>Not stored: ' + esc(given.problem) + '</p>\n' : '';
  if (given.results) {
    body += results(given.results, root + '/ui/studies');
  }
  body += '<form id="form" method="post" enctype="multipart/form-data" action="' + esc(root) + '/ui/upload">' +
    '<input type="hidden" name="token" value="' + esc(given.token) + '">' +
    '<fieldset id="drop"><legend>DICOM files</legend>\n<p id="how" hidden>Drop files and folders anywhere on this page, or choose them:</p>\n' +
    '<p><label for="files">Files</label> <input type="file" id="files" name="file" multiple></p>\n' +
    '<p><label for="folder">A folder</label> <input type="file" id="folder" name="file" multiple webkitdirectory></p>\n' +
    '<p id="send"><button type="submit">Upload</button></p></fieldset></form>\n' + work(given, root + '/ui/studies') +
    ['dicomfiles', 'upload'].map(function (name) {
      return '<script src="' + esc(root) + '/ui/scripts/' + name + '" defer></script>\n';
    }).join('');
  return { title: 'Upload', here: 'upload', body: body, own: true, connects: true };
};
