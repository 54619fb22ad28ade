// The question before a study, series or instance is deleted.
var html = require('lib/pages/html');
var parts = require('lib/pages/parts');

var esc = html.escape;

exports.page = function (given) {
  var kind = ['study', 'series', 'instance'][given.uids.length - 1];
  var back = parts.page(given, given.uids);
  var gone = given.uids.length === 1 ? parts.plural(given.series, 'series', 'series') + ', ' : '';
  return {
    title: 'Delete this ' + kind + '?', here: 'studies', code: 200,
    body: (given.problem ? '<p role="alert" tabindex="-1" autofocus>' + esc(given.problem) + '</p>\n' : '') +
      '<p class="value">' + esc(given.summary) + '<br><span class="note">' + esc(given.uids[given.uids.length - 1]) + '</span></p>\n' +
      '<p><strong>' + gone + parts.plural(given.instances, 'instance', 'instances') + ', ' + parts.bytes(given.bytes) +
      '</strong> will be gone for good: attributes, pictures and files.</p>\n' +
      '<form method="post" action="' + esc(back + '/delete') + '"><input type="hidden" name="token" value="' + esc(given.token) + '">' +
      '<p class="row"><button type="submit" class="danger">Delete</button>' + parts.link(back, 'Keep it') + '</p></form>\n'
  };
};
