function (doc) {
  // What subscribers of a workitem were told last: which of its events are new is seen by their ids.
  if (doc.type !== 'workitem' || !Array.isArray(doc.events)) {
    return;
  }
  emit(doc._id, doc.events.map(function (event) {
    return event && event.id;
  }));
}
