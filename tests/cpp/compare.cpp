#include "compare.h"

#include <cstdlib>

namespace {

bool left_out(const DcmTagKey& key) {
  return key.getElement() == 0 || key == DCM_PixelData || key == DCM_DataSetTrailingPadding ||
         key == DCM_SpecificCharacterSet;
}

std::string shown(DcmElement& element) {
  OFString text;
  element.getOFStringArray(text);
  return text.size() > 60 ? std::string(text.c_str(), 60) + "..." : std::string(text.c_str());
}

// Numbers as text: 1.50 and 1.5 are the same value of a DS.
bool same_numbers(DcmElement& left, DcmElement& right) {
  if (left.getVM() != right.getVM()) return false;
  for (unsigned long index = 0; index < left.getVM(); ++index) {
    OFString one, other;
    left.getOFString(one, index);
    right.getOFString(other, index);
    if (one.empty() != other.empty() || std::atof(one.c_str()) != std::atof(other.c_str())) return false;
  }
  return true;
}

bool same(DcmElement& left, DcmElement& right) {
  const DcmEVR vr = right.getVR();
  if (left.getVR() != vr) return false;
  if (vr == EVR_DS || vr == EVR_IS) return same_numbers(left, right);
  return left.compare(right) == 0;
}

void compare_sequences(DcmSequenceOfItems& server, DcmSequenceOfItems& file, bool whole, Differences& told,
                       const std::string& path) {
  if (server.card() != file.card()) {
    told.found.push_back(path + ": " + std::to_string(server.card()) + " items; the file has " +
                         std::to_string(file.card()));
    return;
  }
  for (unsigned long index = 0; index < file.card(); ++index) {
    compare(*server.getItem(index), *file.getItem(index), whole, told, path + "[" + std::to_string(index + 1) + "].");
  }
}

}  // namespace

void compare(DcmItem& server, DcmItem& file, bool whole, Differences& told, const std::string& path) {
  for (unsigned long index = 0; index < file.card(); ++index) {
    DcmElement& expected = *file.getElement(index);
    const DcmTagKey key = expected.getTag();
    const std::string name = path + key.toString().c_str();
    if (left_out(key)) continue;
    DcmElement* got = nullptr;
    if (server.findAndGetElement(key, got).bad() || !got) {
      if (whole) told.found.push_back(name + ": missing; the file has " + shown(expected));
      continue;
    }
    ++told.compared;
    if (got->getVR() == EVR_SQ && expected.getVR() == EVR_SQ) {
      compare_sequences(dynamic_cast<DcmSequenceOfItems&>(*got), dynamic_cast<DcmSequenceOfItems&>(expected), whole,
                        told, name);
    } else if (!same(*got, expected)) {
      told.found.push_back(name + ": " + DcmVR(got->getVR()).getVRName() + " " + shown(*got) + "; the file has " +
                           DcmVR(expected.getVR()).getVRName() + " " + shown(expected));
    }
  }
  for (unsigned long index = 0; whole && index < server.card(); ++index) {
    const DcmTagKey key = server.getElement(index)->getTag();
    if (left_out(key) || file.tagExists(key)) continue;
    told.found.push_back(path + key.toString().c_str() + ": not in the file");
  }
}
