function (doc, req) {
  // Changes the state of a workitem (PS3.18 11.7).
  return require('lib/workitem/request').state(doc, req);
}
