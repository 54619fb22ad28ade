function (doc, req) {
  // Merges the attributes of instances into a series' header.
  return require('lib/headers/merge').update('series', doc, req);
}
