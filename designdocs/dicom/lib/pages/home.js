// The first page: what this server is and holds, and where to go.
var chart = require('lib/pages/chart');
var html = require('lib/pages/html');
var parts = require('lib/pages/parts');

var esc = html.escape;
var DOCS = 'https://dicom.nema.org/medical/dicom/current/output/html/part18.html';

function search(given) {
  return '<form role="search" aria-label="All studies" action="' + esc(given.root + '/ui/studies') + '"><p class="row">' +
    '<label for="q">Find studies</label> <input type="search" id="q" name="q" maxlength="200" required ' +
    'placeholder="name, ID, date, description" autocomplete="off"> <button type="submit">Search</button></p></form>\n';
}

function holds(held) {
  return '<dl class="facts figures">' + [
    [parts.figure(held.studies), held.studies === 1 ? 'study' : 'studies'], [parts.figure(held.series), 'series'],
    [parts.figure(held.instances), held.instances === 1 ? 'instance' : 'instances'], [parts.bytes(held.bytes), 'in files']
  ].map(function (pair) {
    return '<div><dt>' + pair[1] + '</dt><dd>' + esc(pair[0]) + '</dd></div>';
  }).join('') + '</dl>\n';
}

function ways(given) {
  var root = given.root;
  var found = [
    [root + '/ui/studies', 'Studies', 'look through what is stored, down to each attribute'],
    [root + '/ui/upload', 'Upload', 'store files and folders from this device'],
    [root + '/ui/conflicts', 'Conflicts', given.held.disagreeing ? parts.plural(given.held.disagreeing, 'study or series has',
      'studies and series have') + ' values that disagree: choose what is right' : 'no study has values that disagree'],
    [root + '/ui/status', 'Status', 'how the server is doing'],
    [root + '/ui/capabilities', 'Capabilities', 'what programs can ask for']
  ];
  if (given.ohif) {
    found.splice(1, 0, [given.ohif + '/', 'OHIF', 'the viewer, in this browser']);
  }
  if (given.fauxton) {
    found.push([given.fauxton, 'Fauxton', 'the documents as the database has them']);
  }
  found.push([DOCS, 'PS3.18', 'the standard that this server follows']);
  return '<ul class="ways">' + found.map(function (one) {
    return '<li>' + parts.link(one[0], one[1]) + ' <span class="note">' + esc(one[2]) + '</span></li>';
  }).join('') + '</ul>\n';
}

exports.page = function (given) {
  var held = given.held;
  return {
    title: 'DICOMweb archive', here: 'home',
    body: search(given) + '<h2>What is here</h2>\n' + holds(held) + (held.studies ? chart.figure(held.times, given.year) :
      '<p>Nothing is stored yet: ' + parts.link(given.root + '/ui/upload', 'upload files') + ', or run <code>make demo</code>.</p>\n') +
      '<h2>Where to go</h2>\n' + ways(given) + '<h2>For programs</h2>\n<p>Viewers and other clients use the DICOMweb root ' +
      '<code class="value">' + esc(given.url) + '</code>.</p>\n'
  };
};
