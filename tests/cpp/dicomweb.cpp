#include "dicomweb.h"

#include <curl/curl.h>

#include <memory>

namespace dicomweb {
namespace {

size_t take(char* data, size_t size, size_t count, void* target) {
  static_cast<Bytes*>(target)->append(data, size * count);
  return size * count;
}

Answer request(const std::string& url, const std::vector<std::string>& headers, const Bytes* body) {
  std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  curl_slist* list = nullptr;
  for (const auto& header : headers) list = curl_slist_append(list, header.c_str());
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> kept(list, curl_slist_free_all);

  Answer answer;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 60L);
  if (body) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body->data());
  }
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) throw Problem(url + ": " + curl_easy_strerror(code));
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  const char* type = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_CONTENT_TYPE, &type);
  answer.type = type ? type : "";
  return answer;
}

}  // namespace

std::vector<Bytes> Answer::parts() const {
  if (type.rfind("multipart/", 0) != 0) return {body};
  const auto begin = type.find("boundary=");
  if (begin == std::string::npos) throw Problem("no boundary in " + type);
  std::string boundary = type.substr(begin + 9);
  const bool quoted = boundary[0] == '"';
  boundary = quoted ? boundary.substr(1, boundary.find('"', 1) - 1) : boundary.substr(0, boundary.find(';'));
  const std::string delimiter = "\r\n--" + boundary;
  const Bytes whole = "\r\n" + body;
  std::vector<Bytes> found;
  auto at = whole.find(delimiter);
  while (at != Bytes::npos && whole.compare(at + delimiter.size(), 2, "--") != 0) {
    const auto head = whole.find("\r\n\r\n", at + delimiter.size());
    const auto next = whole.find(delimiter, head + 2);
    if (head == Bytes::npos || next == Bytes::npos) throw Problem("a part without an end");
    found.push_back(next > head + 4 ? whole.substr(head + 4, next - head - 4) : Bytes());
    at = next;
  }
  return found;
}

Answer Server::get(const std::string& path, const std::string& accept) const {
  const std::string url = path.rfind("http", 0) == 0 ? path : root_ + path;
  Answer answer = request(url, {"Accept: " + accept}, nullptr);
  if (answer.status != 200) {
    throw Problem("GET " + url + " is answered " + std::to_string(answer.status) + ": " + answer.body.substr(0, 300));
  }
  return answer;
}

Answer Server::store(const std::vector<Bytes>& files) const {
  const std::string boundary = "part-of-dicomweb-check-2f6a1c";
  Bytes body;
  for (const auto& file : files) {
    body += "--" + boundary + "\r\nContent-Type: application/dicom\r\n\r\n" + file + "\r\n";
  }
  body += "--" + boundary + "--\r\n";
  const std::vector<std::string> headers = {
      "Content-Type: multipart/related; type=\"application/dicom\"; boundary=" + boundary,
      "Accept: application/dicom+json",
      "Expect:"};
  return request(root_ + "/studies", headers, &body);
}

}  // namespace dicomweb
