// The list of studies, and the form that searches them.
var html = require('lib/pages/html');
var parts = require('lib/pages/parts');

var esc = html.escape;
var FIELDS = [
  ['PatientName', 'Name', 'search'], ['PatientID', 'Patient ID', 'search'], ['from', 'From', 'date'], ['to', 'To', 'date'],
  ['ModalitiesInStudy', 'Modality', 'search'], ['StudyDescription', 'Description', 'search'],
  ['AccessionNumber', 'Accession Number', 'search']
];
var COLUMNS = [
  { title: 'Picture', bare: true }, { title: 'Patient', bare: true }, { title: 'Date', kind: 'short' }, { title: 'Modality' }, { title: 'Description' },
  { title: 'Accession Number' }, { title: 'Series', kind: 'number' }, { title: 'Instances', kind: 'number' }
];

function form(given) {
  return '<form role="search" aria-label="Studies" action="' + esc(given.root + '/ui/studies') + '">\n<div class="row fields">' +
    FIELDS.map(function (field) {
      var id = 'by-' + field[0];
      return '<p><label for="' + id + '">' + field[1] + '</label><input type="' + field[2] + '" id="' + id + '" name="' + field[0] +
        '" maxlength="200" value="' + esc(given.form[field[0]] || '') + '"></p>';
    }).join('') + '<p><button type="submit">Search</button>' + parts.link(given.root + '/ui/studies', 'All studies') + '</p></div></form>\n' +
    '<p class="note">Names are found by words and by sound; * stands for any characters, ? for one.</p>\n';
}

function row(given, study) {
  var uid = parts.text(study, '0020000D');
  var id = parts.text(study, '00100020');
  return [
    parts.thumbnail(given, [uid], 64),
    parts.link(parts.page(given, [uid]), parts.person(study)) + (id ? '<br><span class="note">' + esc(id) + '</span>' : ''),
    esc(parts.date(study, '00080020')), esc(parts.text(study, '00080061', ' ')), esc(parts.text(study, '00081030')),
    esc(parts.text(study, '00080050')), esc(parts.text(study, '00201206')), esc(parts.text(study, '00201208'))
  ];
}

// What a script shows when something was stored meanwhile. given.events: where the server tells that.
function news(given) {
  return '<p role="status" id="news" data-events="' + esc(given.events) + '" hidden>' + parts.link('', 'New studies: load the page again') +
    '</p>\n<script src="' + esc(given.root) + '/ui/scripts/news" defer></script>\n';
}

exports.page = function (given) {
  var asked = Object.keys(given.form).length > 0;
  var body = (given.events && !given.offset ? news(given) : '') + parts.deleted(given) + form(given);
  if (given.words) {
    body += '<p role="status">Nothing is found by \u201c' + esc(given.words) +
      '\u201d: no name, Patient ID, Accession Number, description, modality or date.</p>\n';
  } else if (!given.rows.length) {
    body += '<p role="status">' + (given.offset ? 'There are no further studies.' : asked ? 'No study is found.' :
      'There are no studies yet: ' + parts.link(given.root + '/ui/upload', 'upload some') + '.') + '</p>\n';
  } else {
    body += html.table('Studies, newest first', COLUMNS, given.rows.map(function (study) {
      return row(given, study);
    }));
  }
  return {
    title: asked || given.words ? 'Studies found' : 'Studies', here: 'studies', own: true, connects: true,
    body: body + parts.paging(given, 'Newer studies', 'Older studies')
  };
};
