// One study with its series, and one series with its instances.
var html = require('lib/pages/html');
var parts = require('lib/pages/parts');

var esc = html.escape;
var SERIES = [
  { title: 'Picture', bare: true }, { title: 'Series', bare: true }, { title: 'Modality' }, { title: 'Body part' }, { title: 'Instances', kind: 'number' }
];
var INSTANCES = [
  { title: 'Instance', bare: true }, { title: 'Kind' }, { title: 'Rows and columns', kind: 'short' }, { title: 'Frames', kind: 'number' }, { title: 'SOP Instance UID' }
];

function seriesName(series) {
  var number = parts.text(series, '00200011');
  var text = parts.text(series, '0008103E');
  return (number ? 'Series ' + number : 'Series without a number') + (text ? ': ' + text : '');
}

function patient(study) {
  return [
    ['Patient ID', parts.text(study, '00100020')], ['Born', parts.date(study, '00100030')], ['Sex', parts.text(study, '00100040')],
    ['Study date', parts.date(study, '00080020')], ['Description', parts.text(study, '00081030')]
  ];
}

exports.study = function (given) {
  var study = given.study;
  var uid = parts.text(study, '0020000D');
  var facts = patient(study).concat([
    ['Accession Number', parts.text(study, '00080050')], ['Study ID', parts.text(study, '00200010')],
    ['Referring physician', parts.text(study, '00080090')], ['Modalities', parts.text(study, '00080061')],
    ['Series', parts.text(study, '00201206')], ['Instances', parts.text(study, '00201208')], ['Study Instance UID', uid]
  ]);
  var rows = given.rows.map(function (series) {
    var uids = [uid, parts.text(series, '0020000E')];
    return [
      parts.thumbnail(given, uids, 96), parts.link(parts.page(given, uids), seriesName(series)), esc(parts.text(series, '00080060')),
      esc(parts.text(series, '00180015')), esc(parts.text(series, '00201209'))
    ];
  });
  return {
    title: parts.person(study), here: 'studies',
    body: parts.crumbs(given, [[parts.page(given, [uid]), parts.person(study)]]) + parts.deleted(given) + parts.facts(facts) +
      parts.actions(given, [uid]) + '<h2>Series</h2>\n' + html.table('In order of their numbers', SERIES, rows) +
      parts.paging(given, 'Series before', 'Further series')
  };
};

exports.series = function (given) {
  var uid = parts.text(given.study, '0020000D');
  var uids = [uid, parts.text(given.series, '0020000E')];
  var name = seriesName(given.series);
  var facts = [['Patient', parts.person(given.study)]].concat(patient(given.study), [
    ['Modality', parts.text(given.series, '00080060')], ['Series date', parts.date(given.series, '00080021')],
    ['Body part', parts.text(given.series, '00180015')], ['Equipment', parts.text(given.series, '00080070')],
    ['Protocol', parts.text(given.series, '00181030')], ['Instances', parts.text(given.series, '00201209')], ['Series Instance UID', uids[1]]
  ]);
  var rows = given.rows.map(function (instance) {
    var own = parts.text(instance, '00080018');
    var kind = parts.text(instance, '00080016');
    var number = parts.text(instance, '00200013');
    var size = [parts.text(instance, '00280010'), parts.text(instance, '00280011')];
    return [
      parts.link(parts.page(given, uids.concat(own)), number ? 'Instance ' + number : 'Instance without a number'),
      esc(parts.own(given.uids, kind) || kind), size[0] && size[1] ? esc(size.join(' \u00d7 ')) : '', esc(parts.text(instance, '00280008')),
      '<span class="note">' + esc(own) + '</span>'
    ];
  });
  return {
    title: name, here: 'studies',
    body: parts.crumbs(given, [[parts.page(given, [uid]), parts.person(given.study)], [parts.page(given, uids), name]]) + parts.deleted(given) +
      '<div class="beside">' + parts.thumbnail(given, uids, 160) + '<div>' + parts.facts(facts) + parts.actions(given, uids) + '</div></div>\n' +
      '<h2>Instances</h2>\n' + html.table('In order of their numbers', INSTANCES, rows) +
      parts.paging(given, 'Instances before', 'Further instances')
  };
};
