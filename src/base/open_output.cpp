#include "base/open_output.hpp"

namespace trireme {

namespace {
bool closed = false;
}

void note_closed_output() { closed = true; }
bool output_is_closed() { return closed; }

}  // namespace trireme
