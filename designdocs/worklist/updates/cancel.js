function (doc, req) {
  // Cancels a scheduled workitem, or asks its performer to (PS3.18 11.8).
  return require('lib/workitem/request').cancel(doc, req);
}
