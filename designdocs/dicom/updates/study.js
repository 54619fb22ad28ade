function (doc, req) {
  // Merges the attributes of instances into a study's header.
  return require('lib/headers/merge').update('study', doc, req);
}
