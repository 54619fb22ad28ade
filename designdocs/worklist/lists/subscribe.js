function (head, req) {
  // The workitems among the rows as they are with a further subscriber, or without one: for _bulk_docs.
  var request = require('lib/workitem/request');
  var asked = require('lib/search/search').read(req);
  var now = { at: new Date().toISOString() };
  var changed = [];
  var row = getRow();
  while (row) {
    var doc = row.doc;
    if (doc && doc.type === 'workitem') {
      var known = doc.subscribers[asked.ae];
      doc = JSON.parse(JSON.stringify(doc));
      if (asked.off ? known : !known || known.lock !== asked.lock) {
        now.id = req.uuid + '-' + changed.length;
        if (asked.off) {
          delete doc.subscribers[asked.ae];
        }
        changed.push(asked.off ? doc : request.subscribed(doc, asked, now));
      }
    }
    row = getRow();
  }
  send(JSON.stringify(changed) + '\n');
}
