function (head, req) {
  // The metadata of a study, series or instance, over its documents (PS3.18 10.4.1.1.2).
  var metadata = require('lib/metadata/metadata');
  var corrections = require('lib/search/request').corrections(req);
  var base = req.query.base || '';
  var chunk = '[';
  var any = false;
  var row;
  start({ headers: { 'Content-Type': 'application/json' } });
  while ((row = getRow())) {
    if (row.doc && row.doc.type === 'instance') {
      chunk += (any ? ',\n' : '') + metadata.render(row.doc, base, corrections);
      any = true;
      // Some documents at a time: sending each on its own takes more time than it saves memory.
      if (chunk.length > 262144) {
        send(chunk);
        chunk = '';
      }
    }
  }
  send(chunk + ']\n');
}
