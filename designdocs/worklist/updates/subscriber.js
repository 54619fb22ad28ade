function (doc, req) {
  // Keeps what an AE title subscribes to besides single workitems (PS3.18 11.10 to 11.12).
  return require('lib/workitem/subscriber').update(doc, req);
}
