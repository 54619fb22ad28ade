function (doc, req) {
  // Creates a workitem (PS3.18 11.4).
  return require('lib/workitem/request').create(doc, req);
}
