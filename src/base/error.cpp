#include "base/error.hpp"

#include <new>
#include <stdexcept>
#include <string_view>

namespace trireme {

Error described(const std::exception& error) {
  constexpr const char* hint = "Hint: a smaller data.batch, more ranks or other axes of [parallel] (trireme plan says what each rank needs), or "
                               "train.precision = fp32";
  if (const auto* const known = dynamic_cast<const Error*>(&error)) return *known;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr || dynamic_cast<const std::length_error*>(&error) != nullptr) return internal_error("out of memory. {}", hint);
  // Kokkos has a type of its own for this, which differs between versions; its words do not.
  const std::string_view what = error.what();
  if (what.find("failed to allocate") != std::string_view::npos) return internal_error("out of memory: {} {}", what, hint);
  return internal_error("{}", what);
}

}  // namespace trireme
