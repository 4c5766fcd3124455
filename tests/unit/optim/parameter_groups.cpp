// Groups and frozen parameters: each is updated as by an optimizer with its settings alone.
#include "optim/parameter_groups.hpp"

#include "optim/optimizer.hpp"
#include "support/arrays.hpp"
#include "unit/config/support.hpp"
#include "unit/network/networks.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

const std::vector<std::string> layers{"linear name=first out=97", "relu", "linear name=second out=53", "relu", "linear name=third out=3"};

/// The parameters of a network after `steps` updates with gradients from `seed`. Gradients of the layer `without` are 0.
struct Trained {
  Deck deck;
  Network<double> network;
  Trained(const std::vector<std::string>& options, std::int64_t steps, const std::string& without = "-", double lr = -1)
      : deck(deck_of(model("61", layers), options)), network(deck, 1, Network<double>::Use::training) {
    network.initialize(7);
    Optimizer<double> optimizer(deck, network);
    RandomStream random(5);
    for (std::int64_t step = 0; step < steps; ++step) {
      std::vector<double> gradients(static_cast<std::size_t>(network.arena_size()), 0.0);
      for (const Parameter& parameter : network.parameters())
        for (std::int64_t i = 0; i < parameter.shape.size(); ++i) {
          const double value = random.uniform(-1, 1);
          if (!parameter.name.starts_with(without)) gradients[static_cast<std::size_t>(parameter.offset + i)] = value;
        }
      write<double>(network.gradients(), gradients);
      optimizer.update(Execution(), lr < 0 ? deck.real("optimizer.lr") : lr, step);
    }
  }
  std::vector<double> of(const std::string& name) {
    const auto all = read<double>(network.values());
    for (const Parameter& parameter : network.parameters())
      if (parameter.name == name) return {all.begin() + parameter.offset, all.begin() + parameter.offset + parameter.shape.size()};
    BOOST_FAIL("no parameter " + name);
    return {};
  }
};

std::vector<std::string> with(std::vector<std::string> options, const std::vector<std::string>& more) {
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parameter_groups)

BOOST_AUTO_TEST_CASE(each_group_is_updated_as_by_its_own_optimizer) {
  for (const OptimizerKind& kind : optimizer_kinds()) {
    const std::vector<std::string> base{"optimizer.kind=" + kind.name, "optimizer.lr=0.03125", "optimizer.weight_decay=0.125", "optimizer.momentum=0.5"};
    BOOST_TEST_CONTEXT(kind.name) {
      Trained grouped(with(base, {"optimizer.groups=*.bias weight_decay=0; second, third.weight lr=0.125 weight_decay=0.25", "optimizer.freeze=first.weight"}),
                      4);
      Trained biases(with(base, {"optimizer.weight_decay=0"}), 4), others(with(base, {"optimizer.lr=0.125", "optimizer.weight_decay=0.25"}), 4), start(base, 0);
      for (const char* name : {"first.bias", "second.bias", "third.bias"}) BOOST_TEST((grouped.of(name) == biases.of(name)), name);
      for (const char* name : {"second.weight", "third.weight"}) {
        BOOST_TEST((grouped.of(name) == others.of(name)), name);
        BOOST_TEST((grouped.of(name) != start.of(name)), name);
      }
      BOOST_TEST((grouped.of("first.weight") == start.of("first.weight")));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_schedule_multiplies_all_rates) {
  Trained grouped({"optimizer.lr=0.5", "optimizer.groups=third lr=0.125"}, 3, "-", 0.25), third({"optimizer.lr=0.125"}, 3, "-", 0.0625);
  BOOST_TEST((grouped.of("third.weight") == third.of("third.weight")));
}

BOOST_AUTO_TEST_CASE(frozen_gradients_do_not_count_in_the_norm) {
  const std::vector<std::string> clip{"optimizer.clip_norm=0.25"};
  Trained frozen(with(clip, {"optimizer.freeze=second"}), 3), without(clip, 3, "second"), all(clip, 3);
  for (const char* name : {"first.weight", "third.bias"}) {
    BOOST_TEST((frozen.of(name) == without.of(name)), name);
    BOOST_TEST((frozen.of(name) != all.of(name)), name);
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_meant_is_refused) {
  const auto refused = [](const std::vector<std::string>& options, const std::vector<std::string>& said) { check_refused([&] { Trained(options, 0); }, said); };
  refused({"optimizer.freeze=secnod"}, {"optimizer.freeze", "'secnod' matches no array", "did you mean 'second'?"});
  refused({"optimizer.groups=third2 lr=1"}, {"optimizer.groups", "'third2'", "did you mean 'third'?"});
  refused({"optimizer.groups=third"}, {"sets nothing"});
  refused({"optimizer.groups=lr=1"}, {"has no pattern"});
  refused({"optimizer.groups=third rate=1"}, {"'rate'", "no setting"});
  refused({"optimizer.groups=third lr=-1"}, {"lr = -1", "at least 0"});
  refused({"optimizer.groups=third lr=x"}, {"lr"});
  refused({"optimizer.groups=third lr=1 lr=2"}, {"lr twice"});
  refused({"optimizer.groups=third lr=1; third.bias lr=2"}, {"earlier group"});
  refused({"optimizer.groups=third lr=1", "optimizer.freeze=third"}, {"frozen"});
  refused({"optimizer.freeze=*"}, {"nothing would be trained"});
  refused({"optimizer.lr=0", "optimizer.groups=third lr=1"}, {"optimizer.lr = 0"});
}

BOOST_AUTO_TEST_SUITE_END()
