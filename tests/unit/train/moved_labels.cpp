// Labels with the features' pixels are flipped and cropped with them. Each number of features and labels tells its row and its place.
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "layers/spatial.hpp"
#include "support/arrays.hpp"
#include "support/temporary_directory.hpp"
#include "train/batch_stager.hpp"
#include "unit/data/made_shards.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr std::int64_t rows = 60;
using Numbers = std::vector<double>;

Deck deck_for(const Shape& input, const std::vector<std::string>& overrides) {
  return Deck("[model]\ninput = " + input.text() + "\nlayer = relu\n", "test", overrides);
}

/// Rows of features and labels that are numbers, of these shapes as stored.
class Set {
 public:
  Set(const Shape& sample, const Shape& label) : self_(MPI_COMM_SELF), folder_(self_), sample_(sample) {
    make_shards(folder_.path(), {rows},
                {.elements = sample.size(),
                 .feature_type = ElementType::f32,
                 .classes = 0,
                 .label_count = label.size(),
                 .sample = sample,
                 .label = label,
                 .spoil = [](std::int64_t, std::int64_t element, double value) { return element >= 0 ? value + 1 : value; }});  // 0 is what was cropped
    data_.emplace(self_, folder_.path().string(), ShardNames{}, sample, LabelDemand{LabelDemand::Kind::values, label.size()});
  }
  const DataSet& data() const { return *data_; }

  struct Loaded {
    Numbers input, target;
  };
  /// The targets of all rows in a training pass of a network with this output.
  Loaded load(const Deck& deck, const Shape& output, const StagedPart& part = {}) {
    BatchStream::Options options{.batch = rows, .order = BatchStream::Order::stored};
    options.sample = sample_, options.label = output;
    BatchStream stream(*data_, io_, options);
    stream.seek(0, 0);
    const HostBatch& batch = stream.next();
    BatchStager<double> stager(deck, *data_, sample_, output, rows, part);
    const Execution exec;
    Guarded<double> x(rows * sample_.size());
    const Targets<double> targets = stager.load({.exec = exec, .samples = rows, .training = true, .seed = 4, .step = 1}, batch, x);
    Loaded loaded{x.values(), Numbers(targets.values.size())};
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), targets.values);
    std::copy(host.data(), host.data() + host.size(), loaded.target.begin());
    BOOST_TEST(x.guards_hold());
    return loaded;
  }

 private:
  const Communicator self_;
  const TemporaryDirectory folder_;
  const Shape sample_;
  std::optional<DataSet> data_;
  IoThread io_;
};

/// The label that lies at pixel p, channel c of a row whose first channel got this feature (0: it was cropped): made_shards' formulas.
double label_of(double feature, std::int64_t row, std::int64_t c, const Shape& sample) {
  if (feature == 0) return 0;
  const std::int64_t from = static_cast<std::int64_t>(feature) - 1 - row * sample.size();
  return static_cast<double>(row + c * pixels_of(sample) + from) + 0.5;
}

void check_moves_along(const Shape& sample, const Shape& stored, const Shape& output, const std::vector<std::string>& overrides) {
  Set set(sample, stored);
  const auto loaded = set.load(deck_for(sample, overrides), output), still = set.load(deck_for(sample, {}), output);
  const std::int64_t pixels = pixels_of(sample), channels = output.size() / pixels;
  BOOST_TEST(!same_bits(loaded.input, still.input));
  bool right = true;
  for (std::int64_t s = 0; s < rows; ++s)
    for (std::int64_t p = 0; p < pixels; ++p)
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int64_t at = output.rank() == 1 ? c * pixels + p : p * channels + c;
        right &= loaded.target[static_cast<std::size_t>(s * output.size() + at)] ==
                 label_of(loaded.input[static_cast<std::size_t>((s * pixels + p) * sample[0])], s, c, sample);
      }
  BOOST_TEST(right, "labels of " << stored.text() << " beside samples of " << sample.text() << ", output " << output.text() << ", " << overrides.front());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(moved_labels)

BOOST_AUTO_TEST_CASE(lie_where_their_samples_lie) {
  const std::vector<std::vector<std::string>> moves{{"data.flip=x"}, {"data.crop=1"}, {"data.flip=x", "data.crop=2"}};
  for (const auto& overrides : moves) {
    check_moves_along({1, 9}, {9}, {1, 9}, overrides);
    check_moves_along({2, 9}, {3, 9}, {3, 9}, overrides);
    check_moves_along({1, 9}, {9}, {9}, overrides);  // flat outputs, labels as stored
    check_moves_along({2, 4, 5}, {1, 4, 5}, {1, 4, 5}, overrides);
    check_moves_along({2, 4, 5}, {4, 5}, {1, 4, 5}, overrides);
    check_moves_along({1, 4, 5}, {60}, {3, 4, 5}, overrides);  // flat as stored
    check_moves_along({1, 4, 5}, {3, 4, 5}, {60}, overrides);
    check_moves_along({1, 4, 5}, {4, 5}, {20}, overrides);
    check_moves_along({2, 2, 3, 4}, {3, 2, 3, 4}, {3, 2, 3, 4}, overrides);
    check_moves_along({2, 2, 3, 4}, {3, 2, 3, 4}, {72}, overrides);
  }
  check_moves_along({2, 4, 5}, {3, 4, 5}, {3, 4, 5}, {"data.flip=x,y", "data.crop=3"});
  check_moves_along({1, 2, 3, 4}, {2, 2, 3, 4}, {2, 2, 3, 4}, {"data.flip=z,y", "data.crop=1"});
  check_moves_along({2, 9}, {3, 9}, {3, 9}, {"data.shift=x"});
  check_moves_along({1, 4, 5}, {3, 4, 5}, {60}, {"data.shift=x,y", "data.flip=x"});
  check_moves_along({2, 5, 5}, {3, 5, 5}, {3, 5, 5}, {"data.rotate=y-x"});
  check_moves_along({1, 5, 5}, {5, 5}, {25}, {"data.rotate=x-y", "data.crop=1", "data.shift=x"});
  check_moves_along({1, 3, 2, 3}, {2, 3, 2, 3}, {2, 3, 2, 3}, {"data.rotate=z-x", "data.flip=y"});
  check_moves_along({2, 3, 3, 3}, {2, 3, 3, 3}, {2, 3, 3, 3}, {"data.rotate=y-x,z-y,z-x", "data.shift=z"});
}

BOOST_AUTO_TEST_CASE(without_pixels_stay_as_they_are) {
  const std::vector<std::string> moves{"data.flip=x", "data.crop=2"};
  const auto stays = [&](const Shape& sample, const Shape& stored, const Shape& output) {
    Set set(sample, stored);
    const auto moved = set.load(deck_for(sample, moves), output), still = set.load(deck_for(sample, {}), output);
    BOOST_TEST(!same_bits(moved.input, still.input));
    BOOST_TEST(same_bits(moved.target, still.target));
    BOOST_TEST(!label_augmentation(deck_for(sample, moves), set.data(), sample, output).has_value());
  };
  stays({1, 4, 5}, {7}, {7});
  stays({1, 4, 5}, {7, 1, 1}, {7, 1, 1});
  stays({1, 4, 5}, {3, 1}, {3});
  stays({1, 9}, {7}, {7});
  Set set({1, 4, 5}, {1, 4, 5});
  BOOST_TEST(!label_augmentation(deck_for({1, 4, 5}, {"data.noise=1"}), set.data(), {1, 4, 5}, {1, 4, 5}).has_value());
}

// Shares of the distribution Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)); all partners come evenly.
BOOST_AUTO_TEST_CASE(mixtures_have_shares_of_the_beta_distribution) {
  for (const double alpha : {0.01, 0.2, 1.0, 5.0}) {
    constexpr int draws = 20000;
    double sum = 0, squares = 0;
    std::vector<int> turns(5, 0);
    for (int i = 0; i < draws; ++i) {
      const Mixup mixup = Mixup::drawn(alpha, 5, test_seed(), i);
      BOOST_REQUIRE((mixup.share >= 0 && mixup.share <= 1));
      ++turns[static_cast<std::size_t>(mixup.turn)];
      sum += mixup.share - 0.5, squares += (mixup.share - 0.5) * (mixup.share - 0.5);
    }
    const double variance = 1 / (4 * (2 * alpha + 1));
    BOOST_TEST(std::abs(sum / draws) < 5 * std::sqrt(variance / draws));
    BOOST_TEST(std::abs(squares / draws - variance) < 0.05 * variance);
    for (const int count : turns) BOOST_TEST(std::abs(count - draws / 5.0) < 5 * std::sqrt(draws / 5.0));
  }
}

// Inputs and targets of a row are those of two rows, with the same shares.
BOOST_AUTO_TEST_CASE(are_mixed_with_the_shares_of_their_samples) {
  Set set({1, 4, 5}, {3});
  const auto plain = set.load(deck_for({1, 4, 5}, {}), {3}), mixed = set.load(deck_for({1, 4, 5}, {"data.mixup=0.7", "data.virtual_ranks=1"}), {3});
  BOOST_TEST(!same_bits(mixed.input, plain.input));
  int alone = 0;
  for (std::int64_t turn = 0, found = 0; turn < rows && found == 0; ++turn) {
    // The share follows from the first number of a row that has a partner; all others must agree.
    const std::int64_t first = turn == 0 ? 1 : 0, partner = ((turn - first) % rows + rows) % rows;
    if (partner == first) continue;
    const auto at = [](std::int64_t row, std::int64_t element, std::int64_t count) { return static_cast<std::size_t>(row * count + element); };
    const double share = (mixed.input[at(first, 0, 20)] - plain.input[at(partner, 0, 20)]) / (plain.input[at(first, 0, 20)] - plain.input[at(partner, 0, 20)]);
    if (share < 0 || share > 1) continue;
    bool right = true;
    alone = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t other = ((turn - row) % rows + rows) % rows;
      alone += other == row ? 1 : 0;
      const auto same = [&](const Numbers& now, const Numbers& before, std::int64_t e, std::int64_t count) {
        return std::abs(now[at(row, e, count)] - (share * before[at(row, e, count)] + (1 - share) * before[at(other, e, count)])) < 1e-9;
      };
      for (std::int64_t e = 0; e < 20; ++e) right &= same(mixed.input, plain.input, e, 20);
      for (std::int64_t e = 0; e < 3; ++e) right &= same(mixed.target, plain.target, e, 3);
    }
    found = right ? 1 : 0;
    if (turn + 1 == rows || found == 1) BOOST_TEST(found == 1);
  }
  BOOST_TEST(alone <= 2);
}

BOOST_AUTO_TEST_CASE(of_other_pixels_are_refused_where_they_cannot_follow) {
  const auto refused = [](const Shape& sample, const Shape& stored, const Shape& output, const std::vector<std::string>& overrides,
                          const std::vector<const char*>& words) {
    Set set(sample, stored);
    BOOST_CHECK_EXCEPTION(set.load(deck_for(sample, overrides), output), Error, [&](const Error& error) {
      const std::string text = error.what();
      return error.code() == ExitCode::usage && std::ranges::all_of(words, [&](const char* word) { return text.find(word) != text.npos; });
    });
  };
  refused({1, 4, 6}, {1, 2, 3}, {1, 2, 3}, {"data.flip=x"}, {"data.flip = x", "1x4x6", "along x", "2x3 pixels", "4x6", "Hint"});
  refused({1, 4, 6}, {1, 2, 6}, {1, 2, 6}, {"data.flip=x,y"}, {"along y"});
  refused({1, 4, 6}, {2, 3}, {6}, {"data.crop=1"}, {"data.crop = 1", "along y"});
  refused({1, 9}, {2, 5}, {2, 5}, {"data.crop=1"}, {"along x", "5 pixels"});
  refused({1, 4, 6}, {1, 1, 6}, {1, 1, 6}, {"data.crop=1"}, {"along y"});
  refused({1, 4, 6}, {1, 2, 3}, {1, 2, 3}, {"data.shift=x"}, {"data.shift = x", "along x", "2x3 pixels", "data.shift to other axes"});
  refused({1, 6, 6}, {1, 3, 3}, {1, 3, 3}, {"data.rotate=y-x"}, {"data.rotate = y-x", "along y", "3x3 pixels"});
  refused({1, 6, 6}, {1, 1, 6}, {1, 1, 6}, {"data.rotate=y-x"}, {"data.rotate = y-x", "along y"});
  refused({1, 4, 6}, {1, 4, 6}, {1, 4, 6}, {"data.rotate=y-x"}, {"data.rotate = y-x", "1x4x6", "4 pixels along y and 6 along x", "data.flip"});
  refused({1, 6, 6}, {1, 6, 6}, {1, 6, 6}, {"data.rotate=z-x"}, {"data.rotate = z-x", "'z' is not an axis"});
  refused({1, 6, 6}, {1, 6, 6}, {1, 6, 6}, {"data.rotate=x"}, {"'x' is not a plane", "Expected y-x"});
  refused({1, 9}, {1, 9}, {1, 9}, {"data.rotate=y-x"}, {"not a plane", "two spatial dimensions"});
  refused({1, 9}, {1, 9}, {1, 9}, {"data.shift=y"}, {"data.shift = y", "Expected x"});
  refused({9}, {9}, {9}, {"data.erase=0.5"}, {"data.erase", "spatial dimensions"});
  // Along axes without flips and crops extents may differ, and one pixel may stand for all.
  Set half({1, 4, 6}, {1, 2, 6});
  BOOST_TEST(label_augmentation(deck_for({1, 4, 6}, {"data.flip=x"}), half.data(), {1, 4, 6}, {1, 2, 6}).has_value());
  Set lines({1, 4, 6}, {1, 1, 6});
  BOOST_TEST(label_augmentation(deck_for({1, 4, 6}, {"data.flip=x,y"}), lines.data(), {1, 4, 6}, {1, 1, 6}).has_value());
  // Without flips and crops, as in evaluation, nothing is refused.
  Set other({1, 4, 6}, {1, 2, 3});
  other.load(deck_for({1, 4, 6}, {"data.flip=x"}), {1, 2, 3}, {.augments = false});
}

BOOST_AUTO_TEST_SUITE_END()
