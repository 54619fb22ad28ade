function (doc, req) {
  // A script that the pages load: assets/<name>.js of this design document.
  var scripts = this.assets;
  var name = req.query.name;
  if (!Object.prototype.hasOwnProperty.call(scripts, name)) {
    return { code: 404, headers: { 'Content-Type': 'application/json' }, body: '{"error":"not_found","reason":"no such script"}' };
  }
  return {
    headers: { 'Content-Type': 'text/javascript; charset=utf-8', 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-cache' },
    body: scripts[name]
  };
}
