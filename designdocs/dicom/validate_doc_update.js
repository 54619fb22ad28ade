function (newDoc, oldDoc, userCtx, secObj) {
  // Lets no document in that is not a whole study, series or instance, and no step of a workitem that is none.
  if (newDoc._id.charAt(0) === '_') {
    return;
  }
  if (newDoc._deleted) {
    if (oldDoc && oldDoc.type === 'workitem') {
      require('lib/workitem/validate').checkDeletion(newDoc, oldDoc);
    }
    return;
  }
  require('lib/headers/validate').check(newDoc, oldDoc);
}
