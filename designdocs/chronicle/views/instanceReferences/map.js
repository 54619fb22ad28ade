function (doc) {
  // Which documents are about an instance, by its SOP Instance UID: control points that a chronicle had, and all that refers
  // to it by Referenced SOP Instance UID (0008,1155), such as reports, segmentations and presentation states.
  if (doc.type !== 'instance' || !doc.dataset || typeof doc.dataset !== 'object') {
    return;
  }
  var values = require('views/lib/values');
  values.referenced(doc).forEach(function (uid) {
    emit(uid, doc._id);
  });
}
