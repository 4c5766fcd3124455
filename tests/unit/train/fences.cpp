// A training step waits for the device where it must, and nowhere else; it allocates nothing there.
#include <boost/test/unit_test.hpp>

#include "io/shard.hpp"
#include "support/temporary_directory.hpp"
#include "support/watch.hpp"
#include "train/trainer.hpp"

// Not `using namespace`: trireme::log would conflict with CUDA's own headers, which nvcc includes after this file.
namespace trireme::test {
namespace {

const std::string mlp = R"(
layer = flatten
layer = linear out=12
layer = relu
layer = dropout p=0.2
layer = linear out=4
)";

const std::string cnn = R"(
layer = conv out=6 kernel=3 padding=1 bias=false
layer = batch_norm
layer = relu
layer = max_pool kernel=2
layer = conv out=5 kernel=3 padding=1
layer = relu
layer = global_avg_pool
layer = flatten
layer = linear out=4
)";

// After a layer with parameters: the gradient of its input is needed, so backward also has all-reduces.
const std::string synchronized = "layer = conv out=3 kernel=1\nlayer = batch_norm sync=true\n";

/// 24 images of 3x8x8 with labels 0 to 3.
void make_shard(const std::filesystem::path& file) {
  ShardWriter::Options options;
  options.sample = Shape{3, 8, 8};
  options.label_type = ElementType::u8;
  std::vector<std::byte> features, labels;
  for (int i = 0; i < 24 * 3 * 8 * 8; ++i) features.push_back(static_cast<std::byte>(i * 37 % 251));
  for (int i = 0; i < 24; ++i) labels.push_back(static_cast<std::byte>(i % 4));
  ShardWriter writer(file, 24, options);
  writer.append(features, labels);
  writer.finish();
}

struct Counts {
  std::map<std::string, long> fences;
  long copies = 0, allocations = 0;
};

/// Counts of a run with this number of steps, from its first step to its end.
Counts run(const TemporaryDirectory& folder, const std::string& layers, const std::string& more, int steps) {
  static int runs = 0;
  const std::string text = "[run]\noutput = " + (folder / ("run" + std::to_string(runs++))).string() + "\n[data]\ntrain = " + (folder / "data").string() +
                           "\nbatch = 8\nnoise = 0.1\n[model]\ninput = 3x8x8\n" + layers + "[loss]\nkind = cross_entropy\n" + more +
                           "[train]\nepochs = 1000\nlog_every = 1000000\nsteps = " + std::to_string(steps) + "\n";
  const Deck deck(text, "test");
  const Communicator world = Communicator::world();
  Trainer<float> trainer(deck, world);
  const Watch watch;
  BOOST_TEST((trainer.run() == ExitCode::done));
  return {Watch::fences, Watch::copies, Watch::allocations};
}

/// `expected`: label -> fences per step. The difference between a long and a short run is due to steps only.
void check(const std::string& layers, const std::string& more, const std::map<std::string, long>& expected, long copies) {
  const TemporaryDirectory folder;
  if (Communicator::world().rank() == 0) {
    std::filesystem::create_directories(folder / "data");
    make_shard(folder / "data/a.h5");
  }
  Communicator::world().barrier();
  constexpr long steps = 10;
  const Counts few = run(folder, layers, more, 5), many = run(folder, layers, more, 5 + steps);
  std::map<std::string, long> found;
  for (const auto& [label, count] : many.fences) {
    const auto before = few.fences.find(label);
    if (const long added = count - (before == few.fences.end() ? 0 : before->second); added != 0) found[label] = added;
  }
  for (const auto& [label, count] : found) {
    const auto allowed = expected.find(label);
    BOOST_TEST(count == (allowed == expected.end() ? 0 : allowed->second * steps), "'" << label << "' fences " << count << " times in " << steps << " steps");
  }
  for (const auto& [label, count] : expected) BOOST_TEST(found.contains(label), "'" << label << "' does not fence");
  BOOST_TEST(many.copies - few.copies == copies * steps);
  BOOST_TEST(many.allocations == few.allocations);
}

// The end of a step; a bucket before MPI; the moments of batch_norm before MPI, forward and backward.
const std::string end = "trireme::trainer: the step's loss to the host", bucket = "trireme::reducer: bucket complete before MPI",
                  sums = "trireme::rank_sum: values complete before MPI";
const std::string adam = "[optimizer]\nkind = adamw\nclip_norm = 1\n";

std::map<std::string, long> with_buckets(std::map<std::string, long> fences) {
  if (Communicator::world().size() > 1) fences[bucket] = 1;
  return fences;
}

// Copies per step: the loss; on a device also samples and labels, and with several ranks the one bucket in both directions.
long copies() { return on_host ? 1 : Communicator::world().size() > 1 ? 5 : 3; }

}  // namespace

BOOST_AUTO_TEST_SUITE(fences)

BOOST_AUTO_TEST_CASE(of_an_mlp) { check(mlp, adam, with_buckets({{end, 1}}), copies()); }
BOOST_AUTO_TEST_CASE(of_a_cnn_with_batch_norm) { check(cnn, adam, with_buckets({{end, 1}}), copies()); }
BOOST_AUTO_TEST_CASE(of_a_moving_average_and_momentum) {
  check(cnn, "[optimizer]\nkind = lars\nmomentum = 0.9\n[train]\nema = 0.9\n", with_buckets({{end, 1}}), copies());
}
BOOST_AUTO_TEST_CASE(of_moments_over_ranks) {
  const bool alone = Communicator::world().size() == 1;
  auto expected = with_buckets({{end, 1}});
  if (!alone) expected[sums] = 2;
  check(synchronized + cnn, adam, expected, copies() + (on_host || alone ? 0 : 4));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trireme::test
