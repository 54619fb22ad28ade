// The pages that the shim fills: each takes what it sends and returns { title, body }, perhaps code, here (the place in the
// navigation), scripts (their sources) with hashes (their SHA-256 as base64), own and connects (see lib/pages/html).
var PAGES = {
  capabilities: function (given) {
    return require('lib/pages/capabilities').page(given);
  },
  deletion: function (given) {
    return require('lib/pages/deletion').page(given);
  },
  home: function (given) {
    return require('lib/pages/home').page(given);
  },
  instance: function (given) {
    return require('lib/pages/instance').page(given);
  },
  series: function (given) {
    return require('lib/pages/study').series(given);
  },
  status: function (given) {
    return require('lib/pages/status').page(given);
  },
  studies: function (given) {
    return require('lib/pages/studies').page(given);
  },
  study: function (given) {
    return require('lib/pages/study').study(given);
  },
  upload: function (given) {
    return require('lib/pages/upload').page(given);
  }
};

exports.page = function (given) {
  if (!Object.prototype.hasOwnProperty.call(PAGES, given.page)) {
    return { code: 404, title: 'No such page', body: '<p>The design document is older than the server: run dicouch push-views.</p>' };
  }
  return PAGES[given.page](given);
};
