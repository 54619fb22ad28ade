function (doc, req) {
  // Keeps what a person decides of an attribute of a header, or undoes that.
  return require('lib/fixes/request').update(doc, req);
}
