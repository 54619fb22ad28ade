function (doc, req) {
  return require('lib/headers').update('series', doc, req);
}
