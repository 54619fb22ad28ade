function (doc, req) {
  // Subscribes an AE title to a workitem (PS3.18 11.10).
  return require('lib/workitem/request').subscribe(doc, req);
}
