#include "kokkos_kernels/gemm.hpp"

#include <cstdlib>
#include <cstring>

namespace trireme {

bool portable_kernels_forced() {
  static const bool forced = [] {
    const char* value = std::getenv("TRIREME_KERNELS");
    return value != nullptr && std::strcmp(value, "portable") == 0;
  }();
  return forced;
}

}  // namespace trireme
