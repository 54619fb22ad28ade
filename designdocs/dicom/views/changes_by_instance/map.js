function (doc) {
  // The log of changes by what changed. Key: [log, document id]; value: [sequence, action, time].
  if (doc.type !== 'changes' || !Array.isArray(doc.entries) || !Array.isArray(doc.corrections)) {
    return;
  }
  doc.entries.forEach(function (entry, index) {
    emit([doc.log, entry.instance], [doc.first + index, entry.action, entry.at]);
  });
  doc.corrections.forEach(function (correction) {
    emit([doc.log, correction.header], [correction.after, 'correct', correction.at]);
  });
}
