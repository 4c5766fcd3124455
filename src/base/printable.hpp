// Makes untrusted text, such as names inside files, safe for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace trireme {

/// Replaces control characters (except newlines and tabs) and bytes that are not UTF-8 by escapes such as \x1b, so that a name in a file cannot move
/// the cursor, clear the screen or hide text.
std::string printable(std::string_view text);

}  // namespace trireme
