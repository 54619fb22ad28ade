function (doc, req) {
  return require('lib/fixes/request').update(doc, req);
}
