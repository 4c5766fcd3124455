// Whether the portable kernels are forced. The products: gemm_host.cpp, gemm_device.cpp.
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
