// Text that may hold anything, such as names inside of files, for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace trireme {

/// The same text with control characters (but ends of lines and tabs) and bytes that are not UTF-8 written as \x1b: a name in a file cannot move the
/// cursor, clear the screen or hide words.
std::string printable(std::string_view text);

}  // namespace trireme
