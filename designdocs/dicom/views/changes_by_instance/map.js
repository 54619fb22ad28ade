function (doc) {
  // The log of changes by what changed. Key: [log, document id]; value: [sequence, action, time], and of newer entries the digest.
  if (doc.type !== 'changes' || typeof doc.log !== 'string') {
    return;
  }
  (Array.isArray(doc.entries) ? doc.entries : []).forEach(function (entry, index) {
    if (entry && typeof entry.instance === 'string') {
      emit([doc.log, entry.instance], [doc.first + index, entry.action, entry.at].concat(entry.sha256 || []));
    }
  });
  (Array.isArray(doc.corrections) ? doc.corrections : []).forEach(function (correction) {
    if (correction && typeof correction.header === 'string') {
      emit([doc.log, correction.header], [correction.after, 'correct', correction.at]);
    }
  });
}
