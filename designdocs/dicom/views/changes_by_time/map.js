function (doc) {
  // The log of changes by time. Key: [log, time, sequence]; value: the entry.
  if (doc.type !== 'changes' || typeof doc.log !== 'string' || typeof doc.first !== 'number') {
    return;
  }
  (Array.isArray(doc.entries) ? doc.entries : []).forEach(function (entry, index) {
    if (entry && typeof entry.at === 'string') {
      emit([doc.log, entry.at, doc.first + index], entry);
    }
  });
}
