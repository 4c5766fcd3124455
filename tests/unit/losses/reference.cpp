// Losses compared with PyTorch's results (tests/reference/layers.h5).
#include "support/reference.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <map>
#include <set>

#include "base/registry.hpp"
#include "losses/loss.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
void check_loss(const ReferenceCase& reference) {
  const std::string kind = reference.text("kind");
  const auto extents = reference.extents("output");
  const std::int64_t n = extents[0], outputs = extents[1];
  const bool classes = kind == "cross_entropy";
  const double divisor = static_cast<double>(classes ? n : n * outputs);
  const Guarded<T> y(reference.numbers_as<T>("output")), dy(n * outputs);
  const Guarded<double> partial(loss_workspace(n, outputs)), loss(2);
  std::vector<std::string> overrides{"loss.kind=" + kind};
  if (classes) overrides.push_back(fmt::format("loss.label_smoothing={:.17g}", reference.number("label_smoothing")));
  const Deck deck("[model]\ninput = 1\nlayer = linear out=1\n", "test", overrides);
  const LossKind& of = entry_of(loss_kinds(), kind);
  const Guarded<T> target(reference.numbers_as<T>("target"));
  const Guarded<std::int32_t> labels(reference.numbers_as<std::int32_t>("target"));
  of.make.make<T>(deck, loss_targets(of, deck, {outputs}))
      ->apply({Execution(),
               n,
               1,
               {outputs, 0, outputs, 0, outputs},
               y,
               {classes ? labels.span() : Span<std::int32_t>(), target},
               static_cast<T>(1 / divisor),
               dy,
               partial,
               loss});
  BOOST_TEST_CONTEXT("losses/" << reference.name() << ", " << sizeof(T) << "-byte: " << kind) {
    double allowed = (std::is_same_v<T, float> ? 1e-5 : 1e-10);
    if (kind == "bce")  // a probability near 1 has lost digits of 1 - y before the loss sees it
      for (const double p : reference.numbers("output")) allowed = std::max(allowed, std::numeric_limits<T>::epsilon() / (1 - p));
    BOOST_TEST(distance(std::vector<double>{loss.values()[0] / divisor}, reference.numbers("loss")) <= allowed);
    BOOST_TEST(distance(dy.values(), reference.numbers("gradient")) <= allowed);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reference)

BOOST_AUTO_TEST_CASE(losses_are_pytorchs) {
  std::map<std::string, int> seen;
  for_reference_cases("losses", [&](const ReferenceCase& reference) {
    ++seen[reference.text("kind")];
    check_loss<double>(reference);
    check_loss<float>(reference);
  });
  const std::set<std::string> in_losses_command{"dice", "focal", "gaussian_nll", "huber", "kl_div", "relative_l2", "smooth_l1"};  // compared with numpy there
  // A loss with a test file of its own (scripts/new loss NAME) needs no reference.
  for (const LossKind& kind : loss_kinds())
    BOOST_TEST((seen[kind.name] > 0 || std::filesystem::exists(std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/unit/losses" / (kind.name + ".cpp")) ||
                in_losses_command.contains(kind.name)),
               "no reference of the loss '" << kind.name << "': add a case to make_reference.py");
}

BOOST_AUTO_TEST_SUITE_END()
