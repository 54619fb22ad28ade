function (doc, req) {
  return require('lib/fix_request').update(doc, req);
}
