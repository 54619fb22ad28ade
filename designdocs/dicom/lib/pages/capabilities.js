// What programs can ask for, by resource.
var html = require('lib/pages/html');
var parts = require('lib/pages/parts');

var esc = html.escape;
var COLUMNS = [{ title: 'Resource', bare: true }, { title: 'Methods' }, { title: 'Media types' }];

exports.page = function (given) {
  return {
    title: 'Capabilities', here: 'home',
    body: '<p>DICOMweb (PS3.18) at <code class="value">' + esc(given.url) + '</code>. Programs ask for the same with <code>OPTIONS</code>.</p>\n' +
      html.table(parts.plural(given.resources.length, 'resource', 'resources'), COLUMNS, given.resources.map(function (resource) {
        return ['<code>' + esc(resource.path) + '</code>', esc(resource.methods.join(', ')), esc(resource.media.join(', '))];
      }))
  };
};
