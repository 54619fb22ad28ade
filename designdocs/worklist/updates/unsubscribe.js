function (doc, req) {
  // Ends the subscription of an AE title to a workitem (PS3.18 11.11).
  return require('lib/workitem/request').unsubscribe(doc, req);
}
