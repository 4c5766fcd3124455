// Whether the process was started with a standard output. A closed one is replaced by /dev/null, which would hide that text is lost.
#pragma once

namespace trireme {

/// Call it at the start of the process.
void note_closed_output();
bool output_is_closed();

}  // namespace trireme
