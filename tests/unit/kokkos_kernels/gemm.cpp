// The matrix product against its definition, on the selected path and on the portable one.
#include "kokkos_kernels/gemm.hpp"

#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/detail/gemm_portable.hpp"
#include "operands.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
std::vector<double> naive(const Gemm<T>& s, const std::vector<T>& a, const std::vector<T>& b, const std::vector<T>& c) {
  std::vector<double> result(static_cast<std::size_t>(s.m * s.n));
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      const std::size_t at = static_cast<std::size_t>(i * s.n + j);
      result[at] = s.accumulate ? static_cast<double>(c[at]) : 0;
      for (std::int64_t l = 0; l < s.k; ++l)
        result[at] += static_cast<double>(as_operand(a[static_cast<std::size_t>(s.a == Transpose::no ? i * s.k + l : l * s.m + i)], s.operands)) *
                      static_cast<double>(as_operand(b[static_cast<std::size_t>(s.b == Transpose::no ? l * s.n + j : j * s.k + l)], s.operands));
    }
  return result;
}

template <class T>
void check(const Gemm<T>& shape, RandomStream& random, bool portable) {
  const auto a = random_numbers<T>(random, shape.m * shape.k), b = random_numbers<T>(random, shape.k * shape.n);
  // What C held must not matter unless it is added to.
  const auto c =
      shape.accumulate ? random_numbers<T>(random, shape.m * shape.n) : std::vector<T>(static_cast<std::size_t>(shape.m * shape.n), guard_value<T>());
  const Guarded<T> da(a), db(b), dc(c), workspace(portable ? detail::gemm_portable_workspace(shape) : gemm_workspace(shape));
  const Execution exec;
  if (portable)
    detail::gemm_portable<T>(exec, shape, da, db, dc, workspace);
  else
    gemm<T>(exec, shape, da, db, dc, workspace);
  BOOST_TEST_CONTEXT((portable ? "portable " : "selected ")
                     << sizeof(T) << "-byte m " << shape.m << " n " << shape.n << " k " << shape.k << " transposes " << (shape.a == Transpose::yes)
                     << (shape.b == Transpose::yes) << " accumulate " << shape.accumulate << " operands " << static_cast<int>(shape.operands)) {
    BOOST_TEST(distance(dc.values(), naive(shape, a, b, c), 1) <= product_rounding<T>(shape.operands));
    BOOST_TEST(dc.guards_hold());
    BOOST_TEST(workspace.guards_hold());
    BOOST_TEST(same_bits(da.values(), a));
    BOOST_TEST(same_bits(db.values(), b));
  }
}

template <class T>
void check_all(std::uint64_t seed) {
  RandomStream random(seed, sizeof(T));
  const std::vector<std::int64_t> sizes{0, 1, 2, 3, 5, 7, 8, 13, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 97, 130};
  for (int i = 0; i < 200; ++i) {
    Gemm<T> shape{i & 1 ? Transpose::yes : Transpose::no,
                  i & 2 ? Transpose::yes : Transpose::no,
                  pick(random, sizes),
                  pick(random, sizes),
                  pick(random, sizes),
                  (i & 4) != 0};
    if (i < 24) (i < 8 ? shape.m : i < 16 ? shape.n : shape.k) = 0;  // each in all transposes
    check(shape, random, true);
    check(shape, random, false);
    shape.operands = i & 8 ? ComputeType::tf32 : ComputeType::bf16;
    check(shape, random, false);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gemm_products)

BOOST_AUTO_TEST_CASE(equal_their_definition) {
  BOOST_TEST_CONTEXT("seed " << test_seed()) {
    check_all<double>(test_seed());
    check_all<float>(test_seed());
  }
}

BOOST_AUTO_TEST_CASE(the_provider_is_the_portable_one_when_forced) {
  BOOST_TEST_MESSAGE("gemm<float> runs on " << gemm_provider());
  const char* asked = std::getenv("TRIREME_KERNELS");
  BOOST_TEST(portable_kernels_forced() == (asked != nullptr && std::string(asked) == "portable"));
  BOOST_TEST((gemm_provider() == "portable" || !portable_kernels_forced()));
}

BOOST_AUTO_TEST_CASE(operands_are_rounded_to_nearest_ties_to_even) {
  const auto product = [](float value, ComputeType operands) {
    const Gemm<float> shape{.m = 1, .n = 1, .k = 1, .operands = operands};
    const Guarded<float> a(std::vector<float>{value}), b(std::vector<float>{1}), c(1), workspace(gemm_workspace(shape));
    gemm<float>(Execution(), shape, a, b, c, workspace);
    return c.values().front();
  };
  BOOST_TEST(product(1 + 0x1p-8f, ComputeType::bf16) == 1);                // a tie, to the even one below
  BOOST_TEST(product(1 + 3 * 0x1p-8f, ComputeType::bf16) == 1 + 0x1p-6f);  // a tie, to the even one above
  BOOST_TEST(product(1 + 0x1p-8f + 0x1p-20f, ComputeType::bf16) == 1 + 0x1p-7f);
  BOOST_TEST(product(-1 - 0x1p-9f, ComputeType::bf16) == -1);
  BOOST_TEST(product(1 + 0x1p-9f, ComputeType::full) == 1 + 0x1p-9f);
  BOOST_TEST(product(1 + 0x1p-9f, ComputeType::tf32) == 1 + 0x1p-9f);
  if (on_host) BOOST_TEST(product(1 + 0x1p-11f, ComputeType::tf32) == 1);
  for (const ComputeType operands : {ComputeType::full, ComputeType::tf32, ComputeType::bf16}) {
    BOOST_TEST(std::isnan(product(std::numeric_limits<float>::quiet_NaN(), operands)));
    BOOST_TEST(product(std::numeric_limits<float>::infinity(), operands) == std::numeric_limits<float>::infinity());
  }
}

BOOST_AUTO_TEST_SUITE_END()
