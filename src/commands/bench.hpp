// trireme bench: functions that its parts share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "commands/commands.hpp"

namespace trireme {

/// Benchmarks: reading and writing compared with plain tools; memory, matrix products and convolutions; messages and reductions between ranks.
CommandKind bench_io();
CommandKind bench_kernels();
CommandKind bench_network();

/// The median; for an even number of values the mean of the two in the middle.
double median(std::vector<double> values);
/// Seconds from a common start until `action` has ended on the last rank. An error on one rank is thrown on all. Collective.
double timed(const Communicator& comm, const std::function<void()>& action);

/// The number given to an option, at least `least`; otherwise a usage error that names the option.
std::int64_t count_option(const std::string& text, const std::string& name, std::int64_t least);

}  // namespace trireme
