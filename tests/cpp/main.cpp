// Stores files in a DICOMweb server, searches and retrieves them, and compares every attribute with the files.
//
// dicomweb_check ROOT [--no-store] FILE...
//
// One line tells of each file. The result is 0 when all is equal, 1 when something differs, 2 when that is not known.

#include <curl/curl.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "compare.h"
#include "dicom_json.h"
#include "dcmtk/dcmdata/dcistrmb.h"
#include "dcmtk/dcmdata/dcpxitem.h"
#include "dicomweb.h"

namespace {

using dicomweb::Bytes;
using dicomweb::Problem;
using dicomweb::Server;

const char* const JSON = "application/dicom+json";
const char* const FILES = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
const char* const STORED = "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*";

Bytes read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Problem(path + " cannot be read");
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void load(DcmFileFormat& target, const Bytes& bytes) {
  DcmInputBufferStream stream;
  stream.setBuffer(bytes.data(), static_cast<offile_off_t>(bytes.size()));
  stream.setEos();
  target.transferInit();
  const OFCondition condition = target.read(stream);
  target.transferEnd();
  if (condition.bad()) throw Problem(std::string("no DICOM file: ") + condition.text());
  target.loadAllDataIntoMemory();
}

std::string value(DcmItem& item, const DcmTagKey& key) {
  OFString text;
  item.findAndGetOFString(key, text);
  return text.c_str();
}

void parse(DcmDataset& target, const Server& server, const nlohmann::json& attributes) {
  dicom_json::fill(target, attributes, [&server](const std::string& uri) {
    return server.get(uri, "application/octet-stream").parts().at(0);
  });
}

void store(const Server& server, const std::vector<Bytes>& files) {
  const auto answer = server.store(files);
  DcmDataset told;
  parse(told, server, nlohmann::json::parse(answer.body));
  DcmSequenceOfItems* stored = nullptr;
  told.findAndGetSequence(DCM_ReferencedSOPSequence, stored);
  const unsigned long count = stored ? stored->card() : 0;
  if ((answer.status != 200 && answer.status != 202) || count != files.size()) {
    throw Problem("stored " + std::to_string(count) + " of " + std::to_string(files.size()) + " files: " + answer.body);
  }
  std::cout << "stored " << count << " files\n";
}

// The bytes of a frame in a file: its part of native pixels, or its fragment.
Bytes frame_of(DcmDataset& file, unsigned long number, unsigned long frames) {
  DcmElement* element = nullptr;
  file.findAndGetElement(DCM_PixelData, element);
  auto& pixels = dynamic_cast<DcmPixelData&>(*element);
  DcmPixelSequence* fragments = nullptr;
  E_TransferSyntax syntax = file.getOriginalXfer();
  if (DcmXfer(syntax).isEncapsulated()) {
    if (pixels.getEncapsulatedRepresentation(syntax, nullptr, fragments).bad()) throw Problem("no encapsulated pixels");
    if (frames > 1 && fragments->card() != frames + 1) throw Problem("the file has frames of several fragments");
    Bytes frame;
    // The first item is the Basic Offset Table; a single frame has all of the others.
    for (unsigned long index = number; index < (frames > 1 ? number + 1 : fragments->card()); ++index) {
      DcmPixelItem* fragment = nullptr;
      Uint8* data = nullptr;
      fragments->getItem(fragment, index);
      fragment->getUint8Array(data);
      frame.append(reinterpret_cast<char*>(data), fragment->getLength());
    }
    return frame;
  }
  const Uint8* data = nullptr;
  const Uint16* words = nullptr;
  const bool bytes = file.findAndGetUint8Array(DCM_PixelData, data).good() && data;
  if (!bytes) file.findAndGetUint16Array(DCM_PixelData, words);
  const char* start = bytes ? reinterpret_cast<const char*>(data) : reinterpret_cast<const char*>(words);
  Uint16 rows = 0, columns = 0, samples = 0, bits = 0;
  file.findAndGetUint16(DCM_Rows, rows);
  file.findAndGetUint16(DCM_Columns, columns);
  file.findAndGetUint16(DCM_SamplesPerPixel, samples);
  file.findAndGetUint16(DCM_BitsAllocated, bits);
  const size_t length = size_t(rows) * columns * samples * bits / 8;
  return Bytes(start + (number - 1) * length, length);
}

size_t check_frames(const Server& server, const std::string& path, DcmDataset& file, Differences& told) {
  Sint32 frames = 1;
  file.findAndGetSint32(DCM_NumberOfFrames, frames);
  if (!file.tagExists(DCM_PixelData)) return 0;
  const std::vector<unsigned long> numbers =
      frames > 1 ? std::vector<unsigned long>{1, static_cast<unsigned long>(frames)} : std::vector<unsigned long>{1};
  const std::string listed = frames > 1 ? "1," + std::to_string(frames) : "1";
  const auto got = server.get(path + "/frames/" + listed, STORED).parts();
  if (got.size() != numbers.size()) throw Problem(std::to_string(got.size()) + " frames came");
  for (size_t index = 0; index < numbers.size(); ++index) {
    const Bytes expected = frame_of(file, numbers[index], static_cast<unsigned long>(frames));
    const bool padded = got[index].size() + 1 == expected.size() && expected.back() == 0;
    if (got[index] != expected && !(padded && expected.compare(0, got[index].size(), got[index]) == 0)) {
      told.found.push_back("frame " + std::to_string(numbers[index]) + " differs");
    }
  }
  return got.size();
}

// QIDO-RS: the rows of the instance, its series and its study, with all that they can have.
void check_rows(const Server& server, DcmDataset& file, Differences& told) {
  const std::string study = value(file, DCM_StudyInstanceUID);
  const std::vector<std::string> searches = {"/instances?SOPInstanceUID=" + value(file, DCM_SOPInstanceUID),
                                             "/series?SeriesInstanceUID=" + value(file, DCM_SeriesInstanceUID),
                                             "/studies?StudyInstanceUID=" + study};
  for (const auto& search : searches) {
    const auto rows = nlohmann::json::parse(server.get(search + "&includefield=all", JSON).body);
    if (rows.size() != 1) throw Problem(search + " finds " + std::to_string(rows.size()));
    DcmDataset found;
    parse(found, server, rows[0]);
    compare(found, file, false, told);
    if (value(found, DCM_StudyInstanceUID) != study) told.found.push_back(search + ": another Study Instance UID");
  }
}

// Compares one file with what the server says; prints the result, and returns whether all is equal.
bool check(const Server& server, const std::string& path) {
  const Bytes bytes = read(path);
  DcmFileFormat disk, retrieved;
  load(disk, bytes);
  DcmDataset& file = *disk.getDataset();
  const std::string study = value(file, DCM_StudyInstanceUID);
  const std::string uid = value(file, DCM_SOPInstanceUID);
  const std::string place = "/studies/" + study + "/series/" + value(file, DCM_SeriesInstanceUID) + "/instances/" + uid;

  Differences whole, row;
  const auto files = server.get(place, FILES).parts();
  if (files.size() != 1) throw Problem(place + ": " + std::to_string(files.size()) + " files came");
  load(retrieved, files[0]);
  compare(*retrieved.getDataset(), file, true, whole);
  if (files[0] != bytes) whole.found.push_back("the bytes differ");
  const size_t frames = check_frames(server, place, file, whole);

  if (file.convertToUTF8().bad()) throw Problem(path + ": its character set cannot be converted");  // as JSON is
  const auto metadata = nlohmann::json::parse(server.get(place + "/metadata", JSON).body);
  if (metadata.size() != 1) throw Problem(place + " has not one data set as metadata");
  DcmDataset described;
  parse(described, server, metadata[0]);
  const size_t in_file = whole.compared;
  compare(described, file, true, whole);
  check_rows(server, file, row);
  whole.found.insert(whole.found.end(), row.found.begin(), row.found.end());

  const bool equal = whole.found.empty();
  std::cout << path << ": " << (equal ? "equal" : "DIFFERENT") << " (file " << in_file << ", metadata "
            << whole.compared - in_file << ", rows " << row.compared << " attributes, " << frames << " frames)\n";
  for (const auto& line : whole.found) std::cout << "  " << line << "\n";
  return equal;
}

}  // namespace

int main(int count, char** words) {
  std::vector<std::string> arguments(words + 1, words + count);
  const bool storing = arguments.size() < 2 || arguments[1] != "--no-store";
  if (!storing) arguments.erase(arguments.begin() + 1);
  if (arguments.size() < 2) {
    std::cerr << "usage: dicomweb_check ROOT [--no-store] FILE...\n";
    return 2;
  }
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const Server server(arguments[0]);
  const std::vector<std::string> paths(arguments.begin() + 1, arguments.end());
  try {
    std::vector<Bytes> files;
    for (const auto& path : paths) files.push_back(read(path));
    if (storing) store(server, files);
    bool equal = true;
    for (const auto& path : paths) equal = check(server, path) && equal;
    std::cout << (equal ? "EQUAL" : "DIFFERENT") << "\n";
    return equal ? 0 : 1;
  } catch (const std::exception& problem) {
    std::cerr << "dicomweb_check: " << problem.what() << "\n";
    return 2;
  }
}
