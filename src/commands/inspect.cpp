#include "commands/commands.hpp"
namespace trireme {
int inspect_command(const Communicator&, const std::vector<std::string>&) { throw usage_error("being written"); }
}
