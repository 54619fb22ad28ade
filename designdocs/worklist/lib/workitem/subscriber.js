// The document of one AE title: its subscriptions to the whole worklist, and when the servers were started that it knows.

function answer(code, body) {
  return { code: code, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

function lead(doc) {
  doc.summary = [doc.aeTitle].concat(['global', 'filtered'].filter(function (kind) {
    return doc[kind];
  })).join(' \u00b7 ');
  return doc;
}

function seen(doc, asked) {
  doc.servers = doc.servers || {};
  doc.servers[asked.server] = asked.started;
  return doc;
}

function copyOf(asked) {
  var kept = { lock: asked.lock };
  if (asked.filter) {
    kept.filter = asked.filter;
  }
  return kept;
}

// An event channel opens on a server: the subscriber is told whether that was started again since it was there.
function opened(doc, asked) {
  var known = doc && (doc.servers || {})[asked.server];
  if (!doc || known === asked.started) {
    return [null, answer(200, { restarted: false })];
  }
  return [lead(seen(doc, asked)), answer(200, { restarted: known !== undefined })];
}

// asked: ae, server (its name), started (which changes when it is); and what is not a subscription to single workitems, which makes a document alone:
//   open                an event channel opens there
//   kind, lock, filter  subscribes to the worklist ('global') or to what of it matches ('filtered')
//   kind, off           ends or suspends that
exports.update = function (doc, req) {
  var asked = JSON.parse(req.body);
  if (asked.open) {
    return opened(doc, asked);
  }
  if (asked.off && !(doc && doc[asked.kind])) {
    return [null, answer(404, { error: 'C307', reason: 'The target Subscription was not found.' })];
  }
  if (!asked.kind && doc) {
    return [null, answer(200, {})];
  }
  var next = seen(doc || { _id: req.id, type: 'subscriber', summary: '', aeTitle: asked.ae }, asked);
  if (asked.off) {
    delete next[asked.kind];
  } else if (asked.kind) {
    next[asked.kind] = copyOf(asked);
  }
  return [lead(next), answer(doc ? 200 : 201, {})];
};
