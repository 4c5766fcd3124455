// Activation checkpointing: the same bits as without, in less memory, on random networks and on networks of known structure.
#include "network/recompute.hpp"

#include "kokkos_kernels/allocations.hpp"
#include "networks.hpp"
#include "unit/config/support.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
struct Results {
  std::vector<std::vector<T>> outputs, gradients;  // gradients: with the batch statistics behind them
  typename Network<T>::Summary summary;
  typename Network<T>::Recomputed recomputed;
  std::string text;
};

/// Two passes of different steps and samples, the second one smaller.
template <class T>
Results<T> run(const std::string& text, const std::string& option, std::uint64_t seed) {
  const Deck deck = deck_of(text, {"train.recompute=" + option});
  const AllocationCounter counter;
  Network<T> network(deck, 4, Network<T>::Use::training);
  BOOST_TEST(counter.of(MemoryUse::activations).now == network.summary().temporary_bytes);
  network.initialize(5);
  RandomStream random(seed, 77);
  Results<T> found;
  network.zero_gradients(Execution());
  for (const std::int64_t samples : {4, 3}) {
    Pass pass = training_pass(samples);
    pass.step += samples;
    const auto x = random_numbers<T>(random, samples * network.input_shape().size()), dy = random_numbers<T>(random, samples * network.output_shape().size());
    found.outputs.push_back(forward(network, pass, x));
    write<T>(network.output_gradient(), dy);
    network.backward(pass, [](std::int64_t) {});
    found.gradients.push_back(read<T>(network.gradients_and_control()));
  }
  found.summary = network.summary();
  found.recomputed = network.recomputed();
  found.text = network.describe();
  return found;
}

template <class T>
void compare(const Results<T>& plain, const Results<T>& other, const std::string& option) {
  BOOST_TEST_CONTEXT("train.recompute = " << option << "\n" << other.text) {
    for (std::size_t pass = 0; pass < 2; ++pass) {
      BOOST_TEST(same_bits(plain.outputs[pass], other.outputs[pass]));
      BOOST_TEST(same_bits(plain.gradients[pass], other.gradients[pass]));
    }
    BOOST_TEST(other.recomputed.without_bytes == plain.summary.temporary_bytes);
    if (option == "auto") BOOST_TEST(other.summary.temporary_bytes <= plain.summary.temporary_bytes);
    BOOST_TEST(other.summary.workspace_bytes == plain.summary.workspace_bytes);
  }
}

/// The graph with a batch norm after its first layer, v1, whose statistics must not be counted twice.
std::string with_norm(const std::string& text) {
  std::string changed = text;
  const std::size_t second = text.find("layer = ", text.find("layer = ") + 1);
  const std::string line = "layer = batch_norm name=norm from=v1\n";
  if (second == text.npos) return text;
  changed.insert(second, line);
  bool used = false;
  for (auto from = changed.find("from=v1", second + line.size()); from != changed.npos; from = changed.find("from=v1", from + 1))
    if (changed[from + 7] == ' ' || changed[from + 7] == '\n') changed.replace(from, 7, "from=norm"), used = true;
  return used ? changed : text;
}

std::vector<std::string> repeated(int times, const std::vector<std::string>& lines) {
  std::vector<std::string> all;
  for (int i = 0; i < times; ++i) all.insert(all.end(), lines.begin(), lines.end());
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(recompute)

BOOST_AUTO_TEST_CASE(random_networks_compute_the_same_bits) {
  int recomputed = 0, smaller = 0;
  for (std::uint64_t i = 0; i < 80; ++i) {
    RandomStream random(test_seed(), 9000 + i);
    std::string text = draw_graph(random);
    if (random.below(2)) text = with_norm(text);
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << "\n" << text) {
      const auto plain = run<float>(text, "none", i);
      for (const std::string& option : {std::string("auto"), std::to_string(draw(random, 2, 4)), std::string("10000")}) {
        const auto other = run<float>(text, option, i);
        compare(plain, other, option);
        recomputed += other.recomputed.segments > 1 ? 1 : 0;
        smaller += other.summary.temporary_bytes < plain.summary.temporary_bytes ? 1 : 0;
      }
    }
  }
  BOOST_TEST(recomputed > 100);
  BOOST_TEST(smaller > 20);
}

BOOST_AUTO_TEST_CASE(networks_with_norms_pools_skips_and_dropout_compute_the_same_bits) {
  const std::vector<std::vector<std::string>> networks{
      // Residual blocks with batch norms.
      {"conv name=a out=4 kernel=3 padding=1", "batch_norm", "relu name=r", "conv out=4 kernel=3 padding=1", "batch_norm name=n", "add from=r,n", "relu name=s",
       "conv out=4 kernel=3 padding=1", "batch_norm", "relu", "conv out=4 kernel=3 padding=1", "batch_norm name=m", "add from=s,m", "relu", "global_avg_pool",
       "linear out=3"},
      // Fused poolings, a skip over all borders, dropout in place.
      {"conv name=a out=4 kernel=3 padding=1", "relu name=skip", "dropout p=0.3 name=d", "conv out=8 kernel=3 padding=1", "relu", "max_pool kernel=2",
       "group_norm groups=2", "silu", "dropout p=0.4", "conv out=8 kernel=3 padding=1", "leaky_relu", "instance_norm", "upsample scale=2",
       "concat from=skip,upsample1", "conv out=3 kernel=3 padding=1", "batch_norm sync=true", "tanh", "flatten", "linear out=4"},
      // The input is overwritten in place, and read again.
      {"dropout p=0.2 name=d", "scale factor=2", "conv out=3 kernel=3", "gelu", "conv out=3 kernel=3", "gelu", "flatten", "linear out=5", "softmax"},
      {"flatten", "dropout", "linear out=40", "relu", "dropout", "linear out=40", "relu", "dropout", "linear out=40", "relu", "linear out=4"}};
  for (const auto& lines : networks) {
    const std::string text = model("3x8x8", lines);
    const auto plain = run<double>(text, "none", 1);
    for (const std::string option : {"auto", "1", "2", "3", "4", "5", "7", "100"}) {
      const auto other = run<double>(text, option, 1);
      compare(plain, other, option);
      if (option == "1") BOOST_TEST(other.recomputed.segments == 1u);
      if (option == "2" || option == "3") BOOST_TEST(other.recomputed.segments == static_cast<std::size_t>(std::stoi(option)));
    }
  }
}

// Of a chain of n equal layers, about sqrt(n) values stay between segments and as many within one: Chen et al. 2016.
BOOST_AUTO_TEST_CASE(a_chain_needs_memory_of_the_square_root_of_its_length) {
  for (const int n : {16, 36, 64}) {
    const std::string text = model("1x1024", repeated(n, {"conv out=1 kernel=3 padding=1", "gelu"}));
    const auto bytes = [&](const std::string& option) {
      return Network<float>(deck_of(text, {"train.recompute=" + option}), 4, Network<float>::Use::training, GridPlace()).summary().temporary_bytes /
             (4 * 1024 * 4);
    };
    const std::int64_t plain = bytes("none"), smallest = bytes("auto"), some = bytes(std::to_string(static_cast<int>(std::sqrt(n))));
    BOOST_TEST(plain >= 2 * n);
    BOOST_TEST(smallest <= 3 * std::sqrt(n) + 6);
    BOOST_TEST(some <= 4 * std::sqrt(n) + 6);
    BOOST_TEST(smallest <= some);
  }
}

BOOST_AUTO_TEST_CASE(evaluation_and_inference_ignore_it) {
  const std::string text = model("3x8x8", repeated(4, {"conv out=3 kernel=3 padding=1", "batch_norm", "relu"}));
  Network<float> plain(deck_of(text), 2, Network<float>::Use::training), other(deck_of(text, {"train.recompute=auto"}), 2, Network<float>::Use::training),
      inferring(deck_of(text, {"train.recompute=auto"}), 2, Network<float>::Use::inference);
  RandomStream random(test_seed(), 5);
  const auto x = random_numbers<float>(random, 2 * 3 * 64);
  Pass pass = training_pass(2);
  pass.training = false;
  for (auto* network : {&plain, &other, &inferring}) network->initialize(3);
  BOOST_TEST(same_bits(forward(plain, pass, x), forward(other, pass, x)));
  BOOST_TEST(same_bits(forward(plain, pass, x), forward(inferring, pass, x)));
  BOOST_TEST(inferring.recomputed().segments == 1u);
}

BOOST_AUTO_TEST_CASE(other_words_are_refused) {
  const std::string text = model("5", {"linear out=2"});
  for (const std::string word : {"yes", "0", "-3", "2.5", "10001", "automatic"})
    check_refused([&] { Network<float>(deck_of(text, {"train.recompute=" + word}), 2, Network<float>::Use::training); },
                  {"train.recompute = " + word, "none, auto", "10000"});
}

BOOST_AUTO_TEST_SUITE_END()
