function (doc) {
  // The log of changes by time, to be counted by days, minutes and seconds. Key: [log, day, minute, second, fraction, sequence];
  // value: the entry.
  if (doc.type !== 'changes' || typeof doc.log !== 'string' || typeof doc.first !== 'number') {
    return;
  }
  (Array.isArray(doc.entries) ? doc.entries : []).forEach(function (entry, index) {
    if (entry && typeof entry.at === 'string') {
      emit([doc.log, entry.at.slice(0, 10), entry.at.slice(11, 16), entry.at.slice(17, 19), entry.at.slice(20), doc.first + index], entry);
    }
  });
}
