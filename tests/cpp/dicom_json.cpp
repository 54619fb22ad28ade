#include "dicom_json.h"

#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "dcmtk/ofstd/ofstd.h"

namespace dicom_json {
namespace {

using nlohmann::json;

void check(const OFCondition& condition, const std::string& what) {
  if (condition.bad()) throw std::invalid_argument(what + ": " + condition.text());
}

DcmTagKey key_of(const std::string& name) {
  if (name.size() != 8) throw std::invalid_argument("no tag: " + name);
  return DcmTagKey(static_cast<Uint16>(std::stoul(name.substr(0, 4), nullptr, 16)),
                   static_cast<Uint16>(std::stoul(name.substr(4), nullptr, 16)));
}

// One value of a character string VR; numbers of DS and IS keep all their digits.
std::string text_of(const json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  if (!value.is_object()) throw std::invalid_argument("neither text nor number: " + value.dump());
  std::string name;  // PN: the component groups (PS3.18 F.2.2)
  for (const char* group : {"Phonetic", "Ideographic", "Alphabetic"}) {
    const std::string part = value.value(group, "");
    name = name.empty() ? part : part + "=" + name;
  }
  return name;
}

// Numbers, which JSON has as text where they are none (NaN) or may be too large for a reader (SV, UV).
template <typename Number>
std::vector<Number> numbers_of(const json& values) {
  std::vector<Number> found;
  for (const auto& value : values) {
    if (value.is_number()) {
      found.push_back(value.get<Number>());
    } else if constexpr (std::is_floating_point_v<Number>) {
      found.push_back(static_cast<Number>(std::stod(value.get<std::string>())));
    } else if constexpr (std::is_signed_v<Number>) {
      found.push_back(static_cast<Number>(std::stoll(value.get<std::string>())));
    } else {
      found.push_back(static_cast<Number>(std::stoull(value.get<std::string>())));
    }
  }
  return found;
}

template <typename Number>
std::vector<Number> numbers_in(const std::string& bytes) {
  std::vector<Number> found(bytes.size() / sizeof(Number));
  std::memcpy(found.data(), bytes.data(), found.size() * sizeof(Number));  // this machine is little endian, too
  return found;
}

std::string from_base64(const std::string& text) {
  unsigned char* data = nullptr;
  const size_t length = OFStandard::decodeBase64(text.c_str(), data);
  const std::string bytes(reinterpret_cast<char*>(data), length);
  delete[] data;
  return bytes;
}

void put_numbers(DcmElement& element, const json& values) {
  const auto count = values.size();
  switch (element.getVR()) {
    case EVR_US: check(element.putUint16Array(numbers_of<Uint16>(values).data(), count), "US"); break;
    case EVR_SS: check(element.putSint16Array(numbers_of<Sint16>(values).data(), count), "SS"); break;
    case EVR_UL: check(element.putUint32Array(numbers_of<Uint32>(values).data(), count), "UL"); break;
    case EVR_SL: check(element.putSint32Array(numbers_of<Sint32>(values).data(), count), "SL"); break;
    case EVR_FL: check(element.putFloat32Array(numbers_of<Float32>(values).data(), count), "FL"); break;
    case EVR_FD: check(element.putFloat64Array(numbers_of<Float64>(values).data(), count), "FD"); break;
    case EVR_UV: {
      auto& target = dynamic_cast<DcmUnsigned64bitVeryLong&>(element);
      check(target.putUint64Array(numbers_of<Uint64>(values).data(), count), "UV");
      break;
    }
    case EVR_SV: {
      auto& target = dynamic_cast<DcmSigned64bitVeryLong&>(element);
      check(target.putSint64Array(numbers_of<Sint64>(values).data(), count), "SV");
      break;
    }
    default: throw std::invalid_argument("no numbers: " + values.dump());
  }
}

void put_bytes(DcmElement& element, const std::string& bytes) {
  switch (element.getVR()) {
    case EVR_OW: {
      const auto words = numbers_in<Uint16>(bytes);
      check(element.putUint16Array(words.data(), words.size()), "OW");
      break;
    }
    case EVR_OL: {
      const auto words = numbers_in<Uint32>(bytes);
      check(element.putUint32Array(words.data(), words.size()), "OL");
      break;
    }
    case EVR_OV: {
      const auto words = numbers_in<Uint64>(bytes);
      check(dynamic_cast<DcmUnsigned64bitVeryLong&>(element).putUint64Array(words.data(), words.size()), "OV");
      break;
    }
    case EVR_OF: {
      const auto words = numbers_in<Float32>(bytes);
      check(element.putFloat32Array(words.data(), words.size()), "OF");
      break;
    }
    case EVR_OD: {
      const auto words = numbers_in<Float64>(bytes);
      check(element.putFloat64Array(words.data(), words.size()), "OD");
      break;
    }
    case EVR_OB:
    case EVR_UN:
      check(element.putUint8Array(reinterpret_cast<const Uint8*>(bytes.data()), bytes.size()), "bytes");
      break;
    default:  // a long text
      check(element.putString(bytes.data(), static_cast<Uint32>(bytes.size())), "text");
  }
}

void put_values(DcmElement& element, const json& values) {
  switch (element.getVR()) {
    case EVR_AT:
      for (size_t index = 0; index < values.size(); ++index) {
        check(element.putTagVal(key_of(values[index].get<std::string>()), index), "AT");
      }
      break;
    case EVR_AE: case EVR_AS: case EVR_CS: case EVR_DA: case EVR_DS: case EVR_DT: case EVR_IS: case EVR_LO: case EVR_LT:
    case EVR_PN: case EVR_SH: case EVR_ST: case EVR_TM: case EVR_UC: case EVR_UI: case EVR_UR: case EVR_UT: {
      std::string joined;
      for (size_t index = 0; index < values.size(); ++index) joined += (index ? "\\" : "") + text_of(values[index]);
      check(element.putString(joined.data(), static_cast<Uint32>(joined.size())), "text");
      break;
    }
    default: put_numbers(element, values);
  }
}

}  // namespace

void fill(DcmItem& target, const json& attributes, const Fetch& fetch) {
  for (const auto& [name, attribute] : attributes.items()) {
    const DcmVR vr(attribute.at("vr").get<std::string>().c_str());
    const DcmTag tag(key_of(name), vr);
    if (vr.getEVR() == EVR_SQ) {
      auto sequence = std::make_unique<DcmSequenceOfItems>(tag);
      for (const auto& item : attribute.value("Value", json::array())) {
        auto made = std::make_unique<DcmItem>();
        if (!item.is_null()) fill(*made, item, fetch);
        check(sequence->append(made.release()), name);
      }
      check(target.insert(sequence.release(), OFTrue), name);
      continue;
    }
    if (tag == DCM_PixelData && attribute.contains("BulkDataURI")) continue;
    DcmElement* made = nullptr;
    check(DcmItem::newDicomElementWithVR(made, tag), name);
    std::unique_ptr<DcmElement> element(made);
    try {
      if (attribute.contains("Value")) put_values(*element, attribute["Value"]);
      const std::string inlined = attribute.value("InlineBinary", ""), uri = attribute.value("BulkDataURI", "");
      if (!inlined.empty()) put_bytes(*element, from_base64(inlined));
      if (!uri.empty()) put_bytes(*element, fetch(uri));
    } catch (const std::exception& problem) {
      throw std::invalid_argument(name + ": " + problem.what());
    }
    check(target.insert(element.release(), OFTrue), name);
  }
}

}  // namespace dicom_json
