function (newDoc, oldDoc, userCtx, secObj) {
  // Lets no document in that is not a whole study, series or instance.
  if (newDoc._deleted || newDoc._id.charAt(0) === '_') {
    return;
  }
  require('lib/headers/validate').check(newDoc);
}
