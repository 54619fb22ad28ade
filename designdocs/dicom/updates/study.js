function (doc, req) {
  return require('lib/headers').update('study', doc, req);
}
