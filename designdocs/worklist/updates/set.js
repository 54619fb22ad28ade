function (doc, req) {
  // Changes attributes of a workitem (PS3.18 11.6).
  return require('lib/workitem/request').set(doc, req);
}
