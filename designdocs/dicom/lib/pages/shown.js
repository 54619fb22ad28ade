// The pages that the shim fills: each module's `page` takes what it sends and returns { title, body }, perhaps code, here (the
// place in the navigation), scripts with their hashes, and connects (lib/pages/html).
// Each is read only when it is asked for.
var PAGES = {
};

exports.page = function (given) {
  if (!Object.prototype.hasOwnProperty.call(PAGES, given.page)) {
    return { code: 404, title: 'No such page', body: '<p>The design document is older than the server: run push_views.</p>' };
  }
  return PAGES[given.page]().page(given);
};
