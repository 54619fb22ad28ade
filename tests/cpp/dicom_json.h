// The DICOM JSON Model (PS3.18 F) as a data set of DCMTK.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "dcmtk/config/osconfig.h"
#include "dcmtk/dcmdata/dctk.h"

namespace dicom_json {

// Returns the bytes that a BulkDataURI names, in little endian.
using Fetch = std::function<std::string(const std::string& uri)>;

// Fills a data set or an item. Pixel Data (7FE0,0010) that are a BulkDataURI are left out: where they are
// encapsulated, the URI gives frames and not the value. Throws std::invalid_argument where an attribute is malformed.
void fill(DcmItem& target, const nlohmann::json& attributes, const Fetch& fetch);

}  // namespace dicom_json
