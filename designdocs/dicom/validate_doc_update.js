function (newDoc, oldDoc, userCtx, secObj) {
  if (newDoc._deleted || newDoc._id.charAt(0) === '_') {
    return;
  }
  require('lib/headers/validate').check(newDoc);
}
