// Requests to a DICOMweb server (PS3.18), with libcurl.
#pragma once

#include <string>
#include <vector>

namespace dicomweb {

using Bytes = std::string;

// Thrown when a request was not answered as it should be; says which, and what the server said.
struct Problem : std::exception {
  explicit Problem(std::string said) : text(std::move(said)) {}
  const char* what() const noexcept override { return text.c_str(); }
  std::string text;
};

struct Answer {
  long status = 0;
  std::string type;  // Content-Type
  Bytes body;

  // The parts of a multipart answer (RFC 2046 5.1.1), or the body alone.
  std::vector<Bytes> parts() const;
};

class Server {
 public:
  // The DICOMweb root, such as http://127.0.0.1:5985/dicom-web
  explicit Server(std::string root) : root_(std::move(root)) {}

  // GET of a path below the root, or of a whole URL, which a BulkDataURI is. Anything but a 200 is a Problem.
  Answer get(const std::string& path, const std::string& accept) const;

  // STOW-RS: store Part 10 files in one request; the answer is DICOM JSON (PS3.18 10.5).
  Answer store(const std::vector<Bytes>& files) const;

 private:
  std::string root_;
};

}  // namespace dicomweb
