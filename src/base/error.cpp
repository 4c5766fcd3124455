#include "base/error.hpp"

#include <new>
#include <stdexcept>
#include <string_view>

namespace trireme {

Error described(const std::exception& error) {
  constexpr const char* hint =
      "Hint: use a smaller data.batch, more ranks, other axes of [parallel] (trireme plan prints the memory of each rank), or "
      "train.precision = fp32";
  if (const auto* const known = dynamic_cast<const Error*>(&error)) return *known;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr || dynamic_cast<const std::length_error*>(&error) != nullptr)
    return internal_error("out of memory. {}", hint);
  // The type of this exception differs between versions of Kokkos, but not its message.
  const std::string_view what = error.what();
  if (what.find("failed to allocate") != std::string_view::npos) return internal_error("out of memory: {} {}", what, hint);
  return internal_error("{}", what);
}

}  // namespace trireme
