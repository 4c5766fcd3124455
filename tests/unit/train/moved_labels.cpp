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
                {.elements = sample.size(), .feature_type = ElementType::f32, .classes = 0, .label_count = label.size(), .sample = sample, .label = label,
                 .spoil = [](std::int64_t, std::int64_t element, double value) { return element >= 0 ? value + 1 : value; }});  // 0 is what was cropped
    data_.emplace(self_, folder_.path().string(), ShardNames{}, sample, LabelDemand{LabelDemand::Kind::values, label.size()});
  }
  const DataSet& data() const { return *data_; }

  struct Loaded {
    Numbers input, target;
  };
  /// What a network with this output gets of all rows in a pass of training.
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
    check_moves_along({1, 9}, {9}, {9}, overrides);             // flat outputs, labels as stored
    check_moves_along({2, 4, 5}, {1, 4, 5}, {1, 4, 5}, overrides);
    check_moves_along({2, 4, 5}, {4, 5}, {1, 4, 5}, overrides);
    check_moves_along({1, 4, 5}, {60}, {3, 4, 5}, overrides);   // flat as stored
    check_moves_along({1, 4, 5}, {3, 4, 5}, {60}, overrides);
    check_moves_along({1, 4, 5}, {4, 5}, {20}, overrides);
    check_moves_along({2, 2, 3, 4}, {3, 2, 3, 4}, {3, 2, 3, 4}, overrides);
    check_moves_along({2, 2, 3, 4}, {3, 2, 3, 4}, {72}, overrides);
  }
  check_moves_along({2, 4, 5}, {3, 4, 5}, {3, 4, 5}, {"data.flip=x,y", "data.crop=3"});
  check_moves_along({1, 2, 3, 4}, {2, 2, 3, 4}, {2, 2, 3, 4}, {"data.flip=z,y", "data.crop=1"});
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
  // Along axes that nothing is moved along extents may differ, and one pixel may stand for all.
  Set half({1, 4, 6}, {1, 2, 6});
  BOOST_TEST(label_augmentation(deck_for({1, 4, 6}, {"data.flip=x"}), half.data(), {1, 4, 6}, {1, 2, 6}).has_value());
  Set lines({1, 4, 6}, {1, 1, 6});
  BOOST_TEST(label_augmentation(deck_for({1, 4, 6}, {"data.flip=x,y"}), lines.data(), {1, 4, 6}, {1, 1, 6}).has_value());
  // Where nothing is moved, as in evaluation, nothing is refused.
  Set other({1, 4, 6}, {1, 2, 3});
  other.load(deck_for({1, 4, 6}, {"data.flip=x"}), {1, 2, 3}, {.augments = false});
}

BOOST_AUTO_TEST_SUITE_END()
