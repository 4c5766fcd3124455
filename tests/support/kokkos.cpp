// Linked into test programs that use Kokkos: it lives from before the first test until after the last.
#include <Kokkos_Core.hpp>
#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/devices.hpp"

namespace {
struct KokkosRuntime {
  KokkosRuntime() {
    Kokkos::initialize();
    trireme::settle_team_memory();
  }
  ~KokkosRuntime() { Kokkos::finalize(); }
};
}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(KokkosRuntime);
