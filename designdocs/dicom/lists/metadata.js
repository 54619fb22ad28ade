function (head, req) {
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
      // A few documents a chunk: one send for each costs more than it saves in memory.
      if (chunk.length > 262144) {
        send(chunk);
        chunk = '';
      }
    }
  }
  send(chunk + ']\n');
}
