// What a row of a search answer has (PS3.18 Tables 10.6.3-3 to 10.6.3-5). "required": in every row, empty where the value is
// unknown; "conditional": where the data set has it, true or for a sequence what its items show.
// JSON behind the equals sign: shim/rewrite/columns.py reads it too.
module.exports = {
  "required": {
    "patient": { "00100010": "PN", "00100020": "LO", "00100030": "DA", "00100040": "CS" },
    "study": {
      "00080020": "DA", "00080030": "TM", "00080050": "SH", "00080061": "CS", "00080090": "PN", "00100010": "PN",
      "00100020": "LO", "00100030": "DA", "00100040": "CS", "0020000D": "UI", "00200010": "SH"
    },
    "series": { "00080060": "CS", "0020000E": "UI", "00200011": "IS" },
    "instance": { "00080016": "UI", "00080018": "UI", "00200013": "IS" }
  },
  "conditional": {
    "patient": { "00100021": true },
    "study": { "00080201": true },
    "series": {
      "00080201": true, "0008103E": true, "00400244": true, "00400245": true,
      "00400275": { "00400009": true, "00401001": true }
    },
    "instance": {
      "00080201": true, "00083002": true, "00280008": true, "00280010": true, "00280011": true, "00280100": true
    }
  }
};
