function (doc) {
  // Workitems by when subscribers were told last: which of the events are new is seen by their ids.
  if (doc.type !== 'workitem' || !Array.isArray(doc.events) || !doc.events.length) {
    return;
  }
  emit(doc.events.map(function (event) {
    return String(event && event.at);
  }).sort().pop(), doc.events.map(function (event) {
    return event && event.id;
  }));
}
