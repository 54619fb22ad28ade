// The document of one AE title: its subscriptions to the whole worklist, and when the servers were started that it knows.

function answer(code, body) {
  return { code: code, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

function lead(stored) {
  stored.summary = [stored.aeTitle].concat(['global', 'filtered'].filter(function (kind) {
    return stored[kind];
  })).join(' \u00b7 ');
  return stored;
}

function seen(stored, asked) {
  stored.servers = stored.servers || {};
  stored.servers[asked.server] = asked.started;
  return stored;
}

function copyOf(asked) {
  var kept = { lock: asked.lock };
  if (asked.filter) {
    kept.filter = asked.filter;
  }
  return kept;
}

// An event channel opens on a server: the subscriber is told whether that was started again since it was there.
function opened(stored, asked) {
  var known = stored && (stored.servers || {})[asked.server];
  if (!stored || known === asked.started) {
    return [null, answer(200, { restarted: false })];
  }
  return [lead(seen(stored, asked)), answer(200, { restarted: known !== undefined })];
}

// asked: ae, server (its name), started (which changes when it is); and what is not a subscription to single workitems, which makes a document alone:
//   open                an event channel opens there
//   kind, lock, filter  subscribes to the worklist ('global') or to what of it matches ('filtered')
//   kind, off           ends or suspends that
exports.update = function (stored, req) {
  var asked = JSON.parse(req.body);
  if (asked.open) {
    return opened(stored, asked);
  }
  if (asked.off && !(stored && stored[asked.kind])) {
    return [null, answer(404, { error: 'C307', reason: 'The target Subscription was not found.' })];
  }
  if (!asked.kind && stored) {
    return [null, answer(200, {})];
  }
  var next = seen(stored || { _id: req.id, type: 'subscriber', summary: '', aeTitle: asked.ae }, asked);
  if (asked.off) {
    delete next[asked.kind];
  } else if (asked.kind) {
    next[asked.kind] = copyOf(asked);
  }
  return [lead(next), answer(stored ? 200 : 201, {})];
};
