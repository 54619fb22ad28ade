function (doc, req) {
  return require('lib/headers/merge').update('series', doc, req);
}
