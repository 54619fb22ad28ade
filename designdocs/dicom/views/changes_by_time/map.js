function (doc) {
  // The log of changes by time. Key: [log, time, sequence]; value: the entry.
  if (doc.type !== 'changes' || !Array.isArray(doc.entries)) {
    return;
  }
  doc.entries.forEach(function (entry, index) {
    emit([doc.log, entry.at, doc.first + index], entry);
  });
}
