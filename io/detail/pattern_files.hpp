// The files that match a pattern with wildcards.
#pragma once

#include <string>
#include <vector>

namespace trireme::detail {

/// The paths that match `pattern` (*, ?, [...], and \ in front of a character that is meant literally), sorted by bytes. Unlike glob(3), it leaves out
/// nothing: a folder on the way that cannot be read, or a path that cannot be looked up, is a data error with its name. Hidden files match only a
/// pattern that begins with a dot.
std::vector<std::string> files_matching(const std::string& pattern);

}  // namespace trireme::detail
