function (doc, req) {
  return require('lib/headers/merge').update('study', doc, req);
}
