// Kernels read what the host gave them: compilers have laid classes out otherwise on the device than on the host.
#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/types.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class View>
struct Behind {
  View view;
  int number;
};

// What lies behind a view in a functor is found only where both sides agree how large a view is.
template <class View>
void check_behind(const View& view, int number) {
  const Guarded<int> found(1);
  int* const out = found.span().data();
  const Behind<View> behind{view, number};
  Kokkos::parallel_for(
      "trireme::test::behind", Range(Execution(), 0, 1), KOKKOS_LAMBDA(std::int64_t) { *out = behind.view.size() == 5 ? behind.number : -1; });
  BOOST_TEST(found.values() == std::vector<int>{number});
  BOOST_TEST(found.guards_hold());
}

void check_all() {
  const Buffer<float> buffer("trireme::test::buffer", 5);
  check_behind(buffer, 11);
  check_behind(slice<float>(buffer, 0, 5), 12);
  check_behind(Span<const float>(slice<float>(buffer, 0, 5)), 13);
  check_behind(Kokkos::View<float*, Kokkos::Device<Execution, Kokkos::AnonymousSpace>, Kokkos::MemoryTraits<>>(buffer.data(), 5), 14);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(captures)

BOOST_AUTO_TEST_CASE(lie_where_the_host_put_them) { check_all(); }

BOOST_AUTO_TEST_CASE(a_value_fills_a_view) {
  const Buffer<double> buffer("trireme::test::buffer", 1000);
  Kokkos::deep_copy(buffer, 1.5);
  const auto host = Kokkos::create_mirror_view(buffer);
  Kokkos::deep_copy(host, buffer);
  for (std::size_t i = 0; i < host.size(); ++i) BOOST_TEST(host(i) == 1.5);
}

BOOST_AUTO_TEST_SUITE_END()
