// What differs between two data sets.
#pragma once

#include <string>
#include <vector>

#include "dcmtk/config/osconfig.h"
#include "dcmtk/dcmdata/dctk.h"

struct Differences {
  size_t compared = 0;             // attributes, at any depth
  std::vector<std::string> found;  // one line each
};

// Compares what the server says with what the file has, attribute by attribute and item by item. Of the file,
// Pixel Data, group lengths, Data Set Trailing Padding and Specific Character Set are left out. `whole` says that the
// server's data set must have every attribute of the file, and no other.
void compare(DcmItem& server, DcmItem& file, bool whole, Differences& told, const std::string& path = "");
