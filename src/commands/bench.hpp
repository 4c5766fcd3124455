// trireme bench: what its parts share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

/// Measures reading and writing against plain tools. Collective; `words` are those after `bench io`.
int bench_io(const Communicator& comm, const std::vector<std::string>& words);
/// Measures memory, matrix products and convolutions. Collective; `words` are those after `bench kernels`.
int bench_kernels(const Communicator& comm, const std::vector<std::string>& words);

/// Measures messages and sums between the ranks. Collective; `words` are those after `bench network`.
int bench_network(const Communicator& comm, const std::vector<std::string>& words);

/// The middle value; of an even number of values the mean of the two in the middle.
double median(std::vector<double> values);
/// Seconds from a common start until `action` has ended on the last rank. An error of one is an error of all.
/// Collective.
double timed(const Communicator& comm, const std::function<void()>& action);

/// The number that an option gives, at least `least`; a usage error that names the option.
std::int64_t count_option(const std::string& text, const std::string& name, std::int64_t least);

}  // namespace trireme
