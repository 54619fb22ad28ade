// The parameters of a list: in the query, or in the body of a POST where they are too long for a request line.

// CouchDB has decoded a JSON body already, the embedded database has not.
exports.body = function (req) {
  return typeof req.body === 'string' ? JSON.parse(req.body) : req.body;
};

exports.corrections = function (req) {
  if (req.method === 'POST') {
    return exports.body(req).corrections || [];
  }
  return JSON.parse(req.query.corrections || '[]');
};
