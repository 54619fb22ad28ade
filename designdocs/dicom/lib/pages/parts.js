// What the pages of studies, series and instances have alike.
var html = require('lib/pages/html');
var summary = require('lib/headers/summary');
var typed = require('lib/fixes/typed');

var esc = html.escape;
var LEVELS = ['studies', 'series', 'instances'];
var UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

exports.plural = function (number, one, many) {
  return exports.figure(number) + ' ' + (number === 1 ? one : many);
};

// 12345 as 12,345.
exports.figure = function (number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ',');
};

exports.bytes = function (size) {
  var unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return (unit && size < 100 ? size.toFixed(1) : exports.figure(Math.round(size))) + ' ' + UNITS[unit];
};

// What a map has of its own under a key that anybody may have written: not `constructor`, which every object has.
exports.own = function (map, key) {
  return Object.prototype.hasOwnProperty.call(map, key) ? map[key] : undefined;
};

exports.tag = function (tag) {
  return '(' + tag.slice(0, 4) + ',' + tag.slice(4) + ')';
};

// The text of an attribute of a row, its values parted by `between`.
exports.text = function (row, tag, between) {
  return typed.text(row[tag]).split('\\').join(between || ', ');
};

exports.date = function (row, tag) {
  return summary.date(summary.text(row, tag));
};

exports.person = function (row) {
  var text = summary.text(row, '00100010').replace(/\^+/g, ' ').replace(/^ +| +$/g, '');
  return text || '(no name)';
};

function path(uids) {
  return uids.map(function (uid, level) {
    return '/' + LEVELS[level] + '/' + encodeURIComponent(uid);
  }).join('');
}

// The page of a study, series or instance; the resource that programs ask for.
exports.page = function (given, uids) {
  return given.root + '/ui' + path(uids);
};

exports.resource = function (given, uids) {
  return given.dicomweb + path(uids);
};

exports.link = function (url, text, more) {
  return '<a href="' + esc(url) + '"' + (more || '') + '>' + esc(text) + '</a>';
};

// A picture of a study, series or instance. What it shows stands beside it as text.
exports.thumbnail = function (given, uids, size) {
  return '<img src="' + esc(exports.resource(given, uids) + '/thumbnail?viewport=' + size + ',' + size) + '" alt="" width="' + size +
    '" height="' + size + '" loading="lazy">';
};

// steps: [url, text] from the list of studies on; the last one is this page.
exports.crumbs = function (given, steps) {
  return '<nav aria-label="You are here"><ol class="row note">' + [[given.root + '/ui/studies', 'Studies']].concat(steps).map(function (step, index) {
    return '<li>' + exports.link(step[0], step[1], index === steps.length ? ' aria-current="page"' : '') + '</li>';
  }).join('') + '</ol></nav>\n';
};

// pairs: [name, text]; those without a text are left out.
exports.facts = function (pairs) {
  return '<dl class="facts">' + pairs.filter(function (pair) {
    return pair[1] !== '';
  }).map(function (pair) {
    return '<div><dt>' + esc(pair[0]) + '</dt><dd class="value">' + esc(pair[1]) + '</dd></div>';
  }).join('') + '</dl>\n';
};

// given: newer, older (URLs or null), offset, rows.
exports.paging = function (given, newer, older) {
  if (!given.newer && !given.older) {
    return '';
  }
  return '<nav aria-label="Further ones"><ul class="row">' +
    (given.newer ? '<li>' + exports.link(given.newer, newer, ' rel="prev"') + '</li>' : '') + '<li class="note">' +
    (given.rows.length ? exports.figure(given.offset + 1) + ' to ' + exports.figure(given.offset + given.rows.length) : 'none') + '</li>' +
    (given.older ? '<li>' + exports.link(given.older, older, ' rel="next"') + '</li>' : '') + '</ul></nav>\n';
};

// What can be done with a study, series or instance.
exports.actions = function (given, uids) {
  var resource = exports.resource(given, uids);
  var found = [];
  if (given.ohif && uids.length < 3) {
    found.push([given.ohif + '/viewer?StudyInstanceUIDs=' + encodeURIComponent(uids[0]), 'Open in OHIF']);
  }
  if (uids.length === 3) {
    found.push([resource + '/rendered', 'As a picture or document'], [resource + '?accept=application/dicom', 'Download the file']);
  } else {
    found.push([resource + '?accept=application/zip', 'Download as zip']);
  }
  found.push([resource + '/metadata?accept=application/json', 'All attributes as JSON']);
  if (uids.length === 1) {
    found.push([given.root + '/ui/conflicts/' + encodeURIComponent(uids[0]), 'Correct a value']);
  }
  if (given.deletes) {
    found.push([exports.page(given, uids) + '/delete', 'Delete\u2026']);
  }
  return '<ul class="row">' + found.map(function (one) {
    return '<li>' + exports.link(one[0], one[1]) + '</li>';
  }).join('') + '</ul>\n';
};

// What was deleted just before.
exports.deleted = function (given) {
  return typeof given.deleted === 'number' ? '<p role="status" tabindex="-1" autofocus>' +
    exports.plural(given.deleted, 'instance was', 'instances were') + ' deleted.</p>\n' : '';
};
