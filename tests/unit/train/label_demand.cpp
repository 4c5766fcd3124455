// Target, loss and output go together, or the error names the key.
#include <boost/test/unit_test.hpp>

#include "base/error.hpp"
#include "losses/loss_function.hpp"

using namespace trireme;

namespace {

LabelDemand demand(const std::vector<std::string>& overrides, const Shape& input, const Shape& output) {
  return label_demand(Deck("[model]\ninput = 1\nlayer = relu\n", "test", overrides), input, output);
}

void check_refused(const std::vector<std::string>& overrides, const Shape& input, const Shape& output, const std::vector<std::string>& words) {
  BOOST_CHECK_EXCEPTION(demand(overrides, input, output), Error, [&](const Error& error) {
    const std::string text = error.what();
    for (const std::string& word : words) BOOST_TEST(text.find(word) != text.npos, "'" << word << "' is not in: " << text);
    return error.code() == ExitCode::usage;
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(label_demands)

BOOST_AUTO_TEST_CASE(follow_from_target_and_loss) {
  const auto classes = demand({}, {1, 8, 8}, {10});
  BOOST_TEST((classes.kind == LabelDemand::Kind::classes && classes.count == 10 && classes.stored()));
  const auto values = demand({"loss.kind=mse"}, {1, 8, 8}, {2, 5});
  BOOST_TEST((values.kind == LabelDemand::Kind::values && values.count == 10 && values.stored()));
  const auto map = demand({"loss.ignore=255"}, {1, 8, 8}, {3, 8, 8});
  BOOST_TEST((map.kind == LabelDemand::Kind::values && map.count == 64 && map.classes == 3 && map.ignored == 255 && map.shape == Shape{1, 8, 8}));
  const auto probabilities = demand({"loss.targets=probabilities"}, {4}, {3});
  BOOST_TEST((probabilities.kind == LabelDemand::Kind::values && probabilities.shape == Shape{3}));
  const auto features = demand({"loss.kind=mse", "data.target=features", "data.labels="}, {1, 8, 8}, {1, 8, 8});
  BOOST_TEST((features.kind == LabelDemand::Kind::features && features.count == 64 && !features.stored()));
}

BOOST_AUTO_TEST_CASE(refuse_what_does_not_go_together) {
  check_refused({"data.target=features"}, {10}, {10}, {"data.target = features", "loss.kind = cross_entropy", "mse"});
  check_refused({"data.target=features", "loss.kind=mse"}, {1, 8, 8}, {64}, {"1x8x8", "output is 64", "reshape shape=1x8x8"});
  check_refused({"data.target=features", "loss.kind=mae"}, {1, 8, 8}, {1, 8, 7}, {"1x8x8", "1x8x7"});
  check_refused({"data.labels=", "loss.kind=mse"}, {3}, {3}, {"data.labels is empty"});
  check_refused({}, {3}, {1, 4, 4}, {"cross_entropy", "1x4x4", "bce_with_logits"});
  check_refused({"loss.kind=mse", "loss.class_weights=1,2"}, {3}, {2}, {"loss.class_weights = 1, 2", "loss.kind = mse", "cross_entropy"});
  check_refused({"loss.kind=mse", "data.target=features", "loss.ignore=0"}, {3}, {3}, {"loss.ignore", "data.target = features"});
  check_refused({"loss.targets=probabilities", "loss.ignore=0"}, {3}, {3}, {"loss.ignore", "loss.targets = probabilities"});
  check_refused({"loss.kind=gaussian_nll"}, {3}, {3}, {"gaussian_nll", "2 outputs for each target"});
  check_refused({"loss.kind=dice", "loss.targets=classes"}, {3}, {1, 4}, {"loss.targets = classes", "1x4"});
}

BOOST_AUTO_TEST_SUITE_END()
