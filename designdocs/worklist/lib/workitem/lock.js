// The lock of a workitem that is IN PROGRESS: who knows its Transaction UID (0008,1195) may change it (PS3.4 CC.2.1.3). The
// UID itself is in no document. A document has the digest of a proof; the next change shows that proof, which only who knows
// the UID can make, and the digest of another. So whoever reads the database cannot write the next change.
var sha256 = require('lib/workitem/sha256');

function proof(workitem, uid, count) {
  return sha256.hex([workitem, uid, count].join('\n'));
}

function made(workitem, uid, count) {
  return { count: count, digest: sha256.hex(proof(workitem, uid, count)) };
}

// A UID as the standard has it (PS3.5 9.1), and what other systems make of one.
exports.isUid = function (uid) {
  return typeof uid === 'string' && /^[0-9A-Za-z._-]{1,64}$/.test(uid);
};

exports.open = function (workitem, uid) {
  return made(workitem, uid, 1);
};

// Whether this is the Transaction UID; any is while there is no lock.
exports.fits = function (lock, workitem, uid) {
  return exports.isUid(uid) && (!lock || sha256.hex(proof(workitem, uid, lock.count)) === lock.digest);
};

exports.next = function (lock, workitem, uid) {
  var following = made(workitem, uid, lock.count + 1);
  following.proof = proof(workitem, uid, lock.count);
  return following;
};

exports.isLock = function (lock) {
  return lock !== null && typeof lock === 'object' && lock.count >= 1 && Math.floor(lock.count) === lock.count &&
    /^[0-9a-f]{64}$/.test(lock.digest) && (lock.count === 1 || /^[0-9a-f]{64}$/.test(lock.proof));
};

// Whether a lock is the one behind another.
exports.follows = function (before, lock) {
  return lock.count === before.count + 1 && sha256.hex(lock.proof) === before.digest;
};
