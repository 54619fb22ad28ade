function (doc, req) {
  // A page for people, of what the shim found and sends as JSON: { page: its name, root: where the pages are, and what it shows }.
  // Without provides(): of what that gives, Apache CouchDB's shows pass on the body alone, and lose the status and the policy.
  var html = require('lib/pages/html');
  var given = require('lib/search/request').body(req);
  var page = require('lib/pages/shown').page(given);
  return {
    code: page.code || 200,
    headers: html.headers({ scripts: page.hashes, own: page.own, connects: page.connects }),
    body: html.page(page.title, page.body, {
      root: html.rootOf(given.root), here: page.here, scripts: page.scripts, refresh: page.refresh
    })
  };
}
