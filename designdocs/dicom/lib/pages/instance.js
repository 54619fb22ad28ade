// All attributes of an instance as a tree. Sequences open and close without scripts.
var html = require('lib/pages/html');
var parts = require('lib/pages/parts');
var typed = require('lib/fixes/typed');

var esc = html.escape;
// What a program decodes; a browser gets it as the instance is shown.
var SHOWN = ['7FE00008', '7FE00009', '7FE00010', '00420011'];

function more(number, one, many) {
  return number ? ' <span class="note">and ' + parts.plural(number, 'further ' + one, 'further ' + many) + '</span>' : '';
}

function bulk(given, tag, uri, level) {
  // Only what lies on this server is a link.
  if (typeof uri !== 'string' || uri.slice(0, given.base.length + 1) !== given.base + '/') {
    return '<span class="note">' + esc(uri) + '</span>';
  }
  var path = given.dicomweb + uri.slice(given.base.length);
  if (level === 1 && SHOWN.indexOf(tag) >= 0) {
    return parts.link(parts.resource(given, [given.study, given.series, given.instance]) + '/rendered', 'as a picture or document');
  }
  return parts.link(path + '?accept=application/octet-stream', 'bulk data');
}

function value(given, tag, attribute, level) {
  if (attribute.BulkDataURI !== undefined) {
    return bulk(given, tag, attribute.BulkDataURI, level);
  }
  if (attribute.InlineBinary !== undefined) {
    return '<span class="value long" tabindex="0">' + esc(attribute.InlineBinary) + '</span> <span class="note">base64</span>';
  }
  var text = typed.text(attribute);
  if (text === '') {
    return '<span class="note">(no value)</span>';
  }
  var name = parts.own(given.uids, text);
  return '<span class="value' + (text.length > 500 ? ' long" tabindex="0' : '') + '">' + esc(text) + '</span>' +
    (name ? ' <span class="note">' + esc(name) + '</span>' : '') + more(attribute.more, 'value', 'values');
}

function tree(given, dataset, level) {
  return '<ul class="tree">' + Object.keys(dataset).sort().map(function (tag) {
    if (tag === 'more') {
      return '<li class="note">and ' + parts.plural(dataset.more, 'further attribute', 'further attributes') + '</li>\n';
    }
    var attribute = dataset[tag];
    var named = parts.own(given.names, tag);
    var head = '<span class="name"' + (named ? ' title="' + esc(named[1]) + '"' : '') + '>' + esc(named ? named[0] : 'private or unknown') +
      '</span> <span class="note">' + esc(parts.tag(tag)) + ' ' + esc(attribute.vr) + '</span> ';
    if (attribute.vr !== 'SQ' || !Array.isArray(attribute.Value)) {
      return '<li>' + head + value(given, tag, attribute, level) + '</li>\n';
    }
    var items = attribute.Value.length + (attribute.more || 0);
    return '<li><details><summary>' + head + '<span class="note">' + parts.plural(items, 'item', 'items') + '</span></summary><ol>' +
      attribute.Value.map(function (item) {
        return '<li>' + tree(given, item, level + 1) + '</li>\n';
      }).join('') + '</ol>' + more(attribute.more, 'item', 'items') + '</details></li>\n';
  }).join('') + '</ul>';
}

exports.page = function (given) {
  var dataset = given.dataset;
  var uids = [given.study, given.series, given.instance];
  var number = parts.text(dataset, '00200013');
  var series = parts.text(dataset, '00200011');
  var title = number ? 'Instance ' + number : 'Instance without a number';
  return {
    title: title, here: 'studies',
    body: parts.crumbs(given, [
      [parts.page(given, uids.slice(0, 1)), parts.person(dataset)],
      [parts.page(given, uids.slice(0, 2)), series ? 'Series ' + series : 'Series without a number'], [parts.page(given, uids), title]
    ]) + '<div class="beside">' + parts.thumbnail(given, uids, 160) + '<div>' + parts.facts([
      ['Patient', parts.person(dataset)], ['Patient ID', parts.text(dataset, '00100020')],
      ['Kind', parts.own(given.uids, parts.text(dataset, '00080016')) || parts.text(dataset, '00080016')], ['SOP Instance UID', given.instance]
    ]) + parts.actions(given, uids) + '</div></div>\n<h2>Attributes</h2>\n' + tree(given, dataset, 1) + '\n'
  };
};
