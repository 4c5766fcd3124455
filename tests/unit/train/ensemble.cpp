// The mean of what several networks say, against sums made here; and members that do not belong together.
#include "train/ensemble.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "support/errors.hpp"
#include "support/temporary_directory.hpp"
#include "unit/data/made_shards.hpp"

using namespace trireme;
using namespace trireme::test;
using Numbers = std::vector<double>;

namespace {

constexpr std::int64_t inputs = 6, outputs = 4, rows = 11;

/// One layer y = W x + b with random numbers, in a checkpoint of its own.
struct Member {
  std::vector<float> weight, bias;

  Member(const std::filesystem::path& file, std::uint64_t seed, const std::string& loss, std::int64_t out = outputs, std::int64_t in = inputs) {
    RandomStream random(seed);
    for (std::int64_t i = 0; i < out * in; ++i) weight.push_back(static_cast<float>(random.normal()));
    for (std::int64_t i = 0; i < out; ++i) bias.push_back(static_cast<float>(random.normal()));
    const Deck deck("[data]\ntrain = a\nbatch = 11\nscale = 1/64\n[model]\ninput = " + std::to_string(in) +
                        "\nlayer = linear name=head out=" + std::to_string(out) + "\n[loss]\nkind = " + loss + "\n",
                    "member");
    CheckpointContent content;
    content.deck = deck.resolved();
    content.integers = {{"step", static_cast<std::int64_t>(seed)}, {"epoch", 0}, {"batch", 0}, {"epoch_samples", 0}, {"epoch_steps", 1}};
    write_checkpoint(file, {{"model/head.weight", Shape{out, in}, false, weight.data()}, {"model/head.bias", Shape{out}, false, bias.data()}}, content,
                     MPI_COMM_SELF);
  }

  /// Its output for a row of the data.
  Numbers output(std::int64_t row) const {
    Numbers y;
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = bias[static_cast<std::size_t>(o)];
      for (std::int64_t i = 0; i < inputs; ++i)
        sum += static_cast<double>(weight[static_cast<std::size_t>(o * inputs + i)]) * static_cast<double>(row * inputs + i) / 64;
      y.push_back(sum);
    }
    return y;
  }
  Numbers probabilities(std::int64_t row) const {
    Numbers p = output(row);
    double sum = 0;
    for (double& v : p) sum += v = std::exp(v);
    for (double& v : p) v /= sum;
    return p;
  }
};

/// Members with the same loss, data, and one batch of all its rows.
class Bench {
 public:
  Bench(const std::string& loss, std::size_t count) : classes_(loss == "cross_entropy") {
    for (std::size_t m = 0; m < count; ++m) {
      files.push_back(folder_ / fmt::format("m{}.h5", m));
      members.emplace_back(files.back(), m + 1, loss);
    }
    std::filesystem::create_directory(folder_ / "data");
    MadeShards made{.elements = inputs, .feature_type = ElementType::f32, .classes = classes_ ? outputs : 0, .label_count = outputs};
    make_shards(folder_ / "data", {rows}, made);
    data_.emplace(self_, (folder_ / "data").string(), ShardNames{}, Shape{inputs}, made.demand());
    for (std::int64_t i = 0; i < rows * inputs; ++i) features_.push_back(static_cast<float>(i));
    for (std::int64_t i = 0; i < rows * outputs; ++i) values_.push_back(0);
    for (std::int64_t r = 0; r < rows; ++r) {
      feature_rows_.push_back(reinterpret_cast<const std::byte*>(features_.data() + r * inputs));
      value_rows_.push_back(reinterpret_cast<const std::byte*>(values_.data() + r * outputs));
      labels_.push_back(static_cast<std::int32_t>(r % outputs));
    }
  }

  Ensemble<float> ensemble(bool combine) { return Ensemble<float>(self_, files, {}, combine); }

  /// The ensemble's output for `count` rows beginning at `first`. `logarithm`: through complete().
  Numbers run(Ensemble<float>& ensemble, std::int64_t first, std::int64_t count, bool logarithm = false) {
    ensemble.read_from(*data_);
    const auto part = [&](const auto& all) { return std::span(all).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)); };
    HostBatch batch;
    batch.count = batch.global_count = count;
    batch.first_row = first;
    batch.features = part(feature_rows_);
    if (classes_)
      batch.classes = part(labels_);
    else
      batch.values = part(value_rows_);
    const Pass pass{.exec = Execution(), .samples = count};
    Span<const float> y = ensemble.run(pass, batch);
    if (logarithm) y = ensemble.complete(pass, batch, true);
    pass.exec.fence("trireme::test");
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), y);
    BOOST_REQUIRE(host.size() >= static_cast<std::size_t>(count * outputs));
    return Numbers(host.data(), host.data() + count * outputs);
  }

  std::vector<std::filesystem::path> files;
  std::vector<Member> members;
  const Communicator& comm() const { return self_; }
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }

 private:
  const Communicator self_{MPI_COMM_SELF};
  const TemporaryDirectory folder_{self_};
  bool classes_;
  std::optional<DataSet> data_;
  std::vector<float> features_;
  std::vector<double> values_;
  std::vector<const std::byte*> feature_rows_, value_rows_;
  std::vector<std::int32_t> labels_;
};

void check_close(const Numbers& found, const Numbers& expected) {
  BOOST_REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    BOOST_TEST(std::abs(found[i] - expected[i]) < 2e-5 * (1 + std::abs(expected[i])), found[i] << " at " << i << ", expected " << expected[i]);
}

/// Mean over the members of `value(member, row)`, for the rows of a batch.
template <class Value>
Numbers mean(const std::vector<Member>& members, std::int64_t first, std::int64_t count, const Value& value) {
  Numbers all;
  for (std::int64_t row = first; row < first + count; ++row) {
    Numbers sum(outputs, 0.0);
    for (const Member& member : members) {
      const Numbers one = value(member, row);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one[i] / static_cast<double>(members.size());
    }
    all.insert(all.end(), sum.begin(), sum.end());
  }
  return all;
}

const auto probabilities = [](const Member& member, std::int64_t row) { return member.probabilities(row); };
const auto output = [](const Member& member, std::int64_t row) { return member.output(row); };

}  // namespace

BOOST_AUTO_TEST_SUITE(ensemble)

BOOST_AUTO_TEST_CASE(classes_get_the_mean_probabilities) {
  for (const std::size_t count : {1, 2, 3, 5}) {
    Bench bench("cross_entropy", count);
    Ensemble<float> all = bench.ensemble(true);
    BOOST_TEST(all.probabilities());
    BOOST_TEST(all.batch() == 11);
    BOOST_TEST(all.members().size() == count);
    for (std::size_t m = 0; m < count; ++m) BOOST_TEST(all.members()[m].progress.step == static_cast<std::int64_t>(m + 1));
    check_close(bench.run(all, 0, rows), mean(bench.members, 0, rows, probabilities));
    check_close(bench.run(all, 7, 3), mean(bench.members, 7, 3, probabilities));
    Numbers logarithms = mean(bench.members, 0, rows, probabilities);
    for (double& p : logarithms) p = std::log(p);
    check_close(bench.run(all, 0, rows, true), logarithms);
  }
}

BOOST_AUTO_TEST_CASE(numbers_get_the_mean_output) {
  Bench bench("mse", 3);
  Ensemble<float> all = bench.ensemble(true);
  BOOST_TEST(!all.probabilities());
  check_close(bench.run(all, 0, rows), mean(bench.members, 0, rows, output));
  check_close(bench.run(all, 2, 5, true), mean(bench.members, 2, 5, output));  // no logarithm of what is no probability
}

BOOST_AUTO_TEST_CASE(a_single_network_that_is_not_combined_gives_its_output) {
  for (const char* loss : {"cross_entropy", "mse"}) {
    Bench bench(loss, 1);
    Ensemble<float> one = bench.ensemble(false);
    BOOST_TEST(!one.probabilities());
    check_close(bench.run(one, 0, rows), mean(bench.members, 0, rows, output));
  }
}

BOOST_AUTO_TEST_CASE(members_that_do_not_fit_are_refused) {
  Bench bench("cross_entropy", 2);
  const auto refused = [&](const std::string& name, const std::vector<std::string>& said) {
    auto files = bench.files;
    files.push_back(bench.file(name));
    check_error([&] { Ensemble<float>(bench.comm(), files, {}, true); }, ExitCode::usage, said);
  };
  const Member wider(bench.file("wider.h5"), 7, "cross_entropy", outputs + 1), longer(bench.file("longer.h5"), 8, "cross_entropy", outputs, inputs + 1),
      other(bench.file("other.h5"), 9, "mse");
  refused("wider.h5", {"wider.h5", "output", "5", "4", "Hint"});
  refused("longer.h5", {"longer.h5", "input", "7", "6", "Hint"});
  refused("other.h5", {"other.h5", "loss.kind", "mse", "cross_entropy"});
  auto files = bench.files;
  files.push_back(bench.file("missing.h5"));
  check_error([&] { Ensemble<float>(bench.comm(), files, {}, true); }, ExitCode::checkpoint, {"missing.h5"});
}

BOOST_AUTO_TEST_SUITE_END()
