// The input that the network gets, and the targets of its output.
#include "train/batch_stager.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "layers/spatial.hpp"
#include "support/arrays.hpp"
#include "support/temporary_directory.hpp"
#include "unit/data/made_shards.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr std::int64_t channels = 3, pixels = 8, elements = channels * pixels;
const Shape input{channels, 2, 4};
using Numbers = std::vector<double>;

/// Rows of a data set whose labels are `kind`, loaded as one rank of one or more would.
class Loader {
 public:
  Loader(LabelDemand::Kind kind, const std::vector<std::string>& overrides)
      : self_(MPI_COMM_SELF), folder_(self_), deck_("[data]\nscale = 1/8\nmean = 1, 2, 3\nstd = 2\n[model]\ninput = 3x2x4\nlayer = relu\n", "test", overrides) {
    make_shards(folder_.path(), {rows}, {.elements = elements, .feature_type = ElementType::f32});
    data_.emplace(self_, folder_.path().string(), ShardNames{}, input, LabelDemand{kind, elements});
    for (std::int64_t i = 0; i < rows * elements; ++i) features_.push_back(static_cast<float>(i));
  }

  struct Loaded {
    Numbers input, target;
  };
  /// `count` rows beginning at `first`, at position `place` of their global batch.
  Loaded load(bool training, std::int64_t first, std::int64_t count, std::int64_t place = 0, std::uint64_t seed = 1, std::int64_t step = 0) {
    BatchStager<double> stager(deck_, *data_, input, input, rows);
    std::vector<const std::byte*> each;
    for (std::int64_t s = first; s < first + count; ++s) each.push_back(reinterpret_cast<const std::byte*>(features_.data() + s * elements));
    HostBatch batch;
    batch.count = count;
    batch.first_row = first;
    batch.features = each;
    const Execution exec;
    const Pass pass{.exec = exec, .samples = count, .training = training, .seed = seed, .step = step, .first_sample = place};
    Guarded<double> x(count * elements);
    const Targets<double> targets = stager.load(pass, batch, x);
    Loaded loaded{x.values(), Numbers(targets.values.size())};
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), targets.values);
    std::copy(host.data(), host.data() + host.size(), loaded.target.begin());
    BOOST_TEST(x.guards_hold());
    return loaded;
  }

  static constexpr std::int64_t rows = 500;

 private:
  const Communicator self_;
  const TemporaryDirectory folder_;
  const Deck deck_;
  std::optional<DataSet> data_;
  std::vector<float> features_;
};

/// Rows as the network gets them without noise and augmentation.
Numbers clean(std::int64_t first, std::int64_t count) {
  Numbers x;
  for (std::int64_t s = first; s < first + count; ++s)
    for (std::int64_t p = 0; p < pixels; ++p)
      for (std::int64_t c = 0; c < channels; ++c) x.push_back((static_cast<double>(s * elements + c * pixels + p) / 8 - static_cast<double>(c + 1)) / 2);
  return x;
}

void check_is_noise_of(const Numbers& noisy, const Numbers& without, double deviation) {
  BOOST_REQUIRE(noisy.size() == without.size());
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < noisy.size(); ++i) sum += noisy[i] - without[i], squares += (noisy[i] - without[i]) * (noisy[i] - without[i]);
  const auto n = static_cast<double>(noisy.size());
  BOOST_TEST(std::abs(sum / n) < 5 * deviation / std::sqrt(n));
  BOOST_TEST(std::abs(squares / n - deviation * deviation) < 5 * deviation * deviation * std::sqrt(2 / n));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stager)

BOOST_AUTO_TEST_CASE(features_are_their_own_target_before_the_noise) {
  for (const bool training : {true, false}) {
    const auto loaded = Loader(LabelDemand::Kind::features, {"data.noise=0.5"}).load(training, 0, Loader::rows);
    BOOST_TEST(distance(loaded.target, clean(0, Loader::rows)) < 1e-12);
    check_is_noise_of(loaded.input, loaded.target, 0.5);
  }
}

BOOST_AUTO_TEST_CASE(features_without_noise_are_input_and_target) {
  const auto loaded = Loader(LabelDemand::Kind::features, {}).load(true, 7, 20);
  BOOST_TEST(distance(loaded.target, clean(7, 20)) < 1e-12);
  BOOST_TEST(same_bits(loaded.input, loaded.target));
}

BOOST_AUTO_TEST_CASE(a_target_is_flipped_and_cropped_with_its_input) {
  Loader moved(LabelDemand::Kind::features, {"data.flip=x,y", "data.crop=1"}),
      noisy(LabelDemand::Kind::features, {"data.flip=x,y", "data.crop=1", "data.noise=0.5"});
  const auto expected = moved.load(true, 0, Loader::rows).input;
  BOOST_TEST(distance(expected, clean(0, Loader::rows)) > 0.1);
  const auto loaded = noisy.load(true, 0, Loader::rows);
  BOOST_TEST(same_bits(loaded.target, expected));
  check_is_noise_of(loaded.input, expected, 0.5);
  BOOST_TEST(distance(noisy.load(false, 0, Loader::rows).target, clean(0, Loader::rows)) < 1e-12);  // without noise and augmentation outside training
}

BOOST_AUTO_TEST_CASE(noise_of_an_evaluated_row_is_its_own) {
  Loader loader(LabelDemand::Kind::features, {"data.noise=0.5"});
  const auto whole = loader.load(false, 0, 30).input;
  for (const std::int64_t cut : {1, 13, 29}) {
    auto parts = loader.load(false, 0, cut).input;
    const auto rest = loader.load(false, cut, 30 - cut, 5).input;
    parts.insert(parts.end(), rest.begin(), rest.end());
    BOOST_TEST(same_bits(whole, parts));
  }
  BOOST_TEST(!same_bits(whole, loader.load(false, 0, 30, 0, 2).input));  // of another seed
  BOOST_TEST(!same_bits(whole, loader.load(true, 0, 30).input));         // differs from training
}

BOOST_AUTO_TEST_CASE(noise_in_training_changes_from_step_to_step) {
  Loader loader(LabelDemand::Kind::features, {"data.noise=0.5"});
  const auto first = loader.load(true, 0, 30);
  BOOST_TEST(same_bits(first.input, loader.load(true, 0, 30).input));
  const auto second = loader.load(true, 0, 30, 0, 1, 1);
  BOOST_TEST(!same_bits(first.input, second.input));
  BOOST_TEST(same_bits(first.target, second.target));
}

// Prediction needs no labels and does not augment samples.
BOOST_AUTO_TEST_CASE(other_samples_have_noise_in_training_only) {
  Loader loader(LabelDemand::Kind::none, {"data.noise=0.5"});
  const auto seen = loader.load(false, 3, 30);
  BOOST_TEST(distance(seen.input, clean(3, 30)) < 1e-12);
  BOOST_TEST(seen.target.empty());
  check_is_noise_of(loader.load(true, 0, Loader::rows).input, clean(0, Loader::rows), 0.5);
}

// From the files to the network, on ranks that have a box of each sample: together bitwise identical to one rank.
BOOST_AUTO_TEST_CASE(parts_of_samples_make_the_whole) {
  const Communicator self(MPI_COMM_SELF);
  const Shape sample{2, 3, 4, 5}, label{3, 3, 4, 5};
  const std::int64_t rows = 11;
  // Boxes of input and output that cover the whole sample.
  const std::vector<std::vector<Box>> divisions = {{{.first = {0, 0, 0}, .extent = {3, 1, 5}}, {.first = {0, 1, 0}, .extent = {3, 3, 5}}},
                                                   {{.first = {0, 0, 0}, .extent = {3, 4, 2}}, {.first = {0, 0, 2}, .extent = {3, 4, 3}}},
                                                   {{.first = {0, 0, 0}, .extent = {1, 4, 5}},
                                                    {.first = {1, 0, 0}, .extent = {2, 1, 5}},
                                                    {.first = {1, 1, 0}, .extent = {2, 3, 4}},
                                                    {.first = {1, 1, 4}, .extent = {2, 3, 1}}}};
  const auto put = [](const Numbers& part, const Box& box, const Shape& shape, std::vector<double>& whole) {
    const auto extents = spatial_extents(shape);
    std::size_t from = 0;
    for (std::int64_t s = 0; s < rows; ++s)
      for (std::int64_t z = box.first[0]; z < box.end(0); ++z)
        for (std::int64_t y = box.first[1]; y < box.end(1); ++y)
          for (std::int64_t x = box.first[2]; x < box.end(2); ++x)
            for (std::int64_t c = 0; c < shape[0]; ++c)
              whole[static_cast<std::size_t>((((s * extents[0] + z) * extents[1] + y) * extents[2] + x) * shape[0] + c)] = part[from++];
    BOOST_TEST(from == part.size());
  };
  int slabs_read = 0, wholes_read = 0;
  for (const bool flat : {false, true})
    for (const auto kind : {LabelDemand::Kind::features, LabelDemand::Kind::values, LabelDemand::Kind::none}) {
      const TemporaryDirectory folder(self);
      make_shards(folder.path(), {4, rows - 4},
                  {.elements = sample.size(),
                   .feature_type = ElementType::f32,
                   .classes = 0,
                   .label_count = label.size(),
                   .gzip = flat ? 0 : 1,
                   .sample = flat ? Shape{} : sample,
                   .label = flat ? Shape{} : label});
      const bool own = kind == LabelDemand::Kind::features;
      const Shape& output = own ? sample : label;
      const DataSet data(self, folder.path().string(), ShardNames{}, sample, LabelDemand{kind, output.size()});
      IoThread io;
      for (const std::vector<std::string>& overrides : {std::vector<std::string>{},
                                                        {"data.noise=0.5"},
                                                        {"data.flip=x", "data.noise=0.5"},
                                                        {"data.flip=y,z"},
                                                        {"data.flip=x,y,z", "data.crop=2", "data.noise=0.3"},
                                                        {"data.shift=x", "data.brightness=0.4", "data.erase=0.7"},
                                                        {"data.shift=z,y", "data.flip=x", "data.contrast=0.5", "data.erase=1", "data.noise=0.2"}})
        for (const bool training : {true, false}) {
          const Deck deck("[data]\nscale = 1/8\nmean = 1, 2\nstd = 2\n[model]\ninput = 2x3x4x5\nlayer = relu\n", "test", overrides);
          struct Loaded {
            Numbers input, target;
          };
          const auto load = [&](const StagedPart& part, bool read_slab) {
            BatchStream::Options options{.batch = rows, .order = training ? BatchStream::Order::shuffled : BatchStream::Order::blocks};
            options.sample = sample, options.label = output;
            options.features = part.features || own, options.labels = part.targets;
            if (read_slab) {
              options.slab = part.features_slab(own);
              if (kind == LabelDemand::Kind::values) options.label_slab = part.output_slab;
            }
            BatchStream stream(data, io, options);
            stream.seek(0, 0);
            const HostBatch& batch = stream.next();
            BOOST_TEST_REQUIRE(batch.count == rows);
            BatchStager<double> stager(deck, data, sample, output, rows, part);
            const Execution exec;
            const Pass pass{.exec = exec, .samples = rows, .training = training, .seed = 3, .step = 2, .first_sample = 5};
            Guarded<double> x(rows * (part.input_slab ? part.input_slab->pixels() * sample[0] : sample.size()));
            const Numbers before = x.values();
            const Targets<double> targets = stager.load(pass, batch, x);
            Loaded loaded{x.values(), Numbers(targets.values.size())};
            const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), targets.values);
            std::copy(host.data(), host.data() + host.size(), loaded.target.begin());
            BOOST_TEST(x.guards_hold());
            if (!part.features) BOOST_TEST(same_bits(loaded.input, before));  // untouched
            return loaded;
          };
          const Loaded whole = load({}, false);
          BOOST_TEST(same_bits(load({.targets = false}, false).input, whole.input));
          BOOST_TEST(same_bits(load({.features = false}, false).target, whole.target));
          for (const auto& boxes : divisions)
            for (const bool as_slabs : {false, true}) {
              Numbers input(whole.input.size(), -1), target(whole.target.size(), -1), target_alone = target;
              bool legal = true;
              for (const Box& box : boxes) legal &= !as_slabs || !training || BatchStager<double>::reads_slab(deck, sample, box);
              if (!legal) continue;
              for (const Box& box : boxes) {
                StagedPart part{.input_slab = box};
                if (kind != LabelDemand::Kind::none) part.output_slab = box;
                const Loaded loaded = load(part, as_slabs);
                put(loaded.input, box, sample, input);
                part.features = false;
                const Loaded alone = load(part, as_slabs);
                if (kind == LabelDemand::Kind::none) continue;
                put(loaded.target, *part.output_slab, output, target);
                put(alone.target, *part.output_slab, output, target_alone);
              }
              if (own) {  // the one split, the other whole
                for (const Box& box : boxes) {
                  const Loaded of_input = load({.input_slab = box}, as_slabs), of_output = load({.output_slab = box}, as_slabs);
                  BOOST_TEST(same_bits(of_input.target, whole.target));
                  BOOST_TEST(same_bits(of_output.input, whole.input));
                  put(of_input.input, box, sample, input);
                  put(of_output.target, box, output, target);
                }
                BOOST_TEST(same_bits(input, whole.input));
                BOOST_TEST(same_bits(target, whole.target));
              }
              ++(as_slabs ? slabs_read : wholes_read);
              BOOST_TEST(same_bits(input, whole.input));
              BOOST_TEST(same_bits(target, whole.target));
              BOOST_TEST(same_bits(target_alone, whole.target));
            }
        }
    }
  BOOST_TEST(wholes_read == 252);
  BOOST_TEST(slabs_read > 120);
  BOOST_TEST(slabs_read < 252);
}

BOOST_AUTO_TEST_CASE(slabs_are_read_where_no_pixel_crosses_between_them) {
  const Shape sample{2, 3, 4, 5};
  const Box of_depth{.first = {1, 0, 0}, .extent = {2, 4, 5}}, of_width{.first = {0, 0, 0}, .extent = {3, 4, 2}};
  const auto reads = [&](const std::vector<std::string>& overrides, const Box& box) {
    const Deck deck("[model]\ninput = 2x3x4x5\nlayer = relu\n", "test", overrides);
    return BatchStager<float>::reads_slab(deck, sample, box);
  };
  for (const Box& box : {of_depth, of_width}) {
    BOOST_TEST(reads({}, box));
    BOOST_TEST(reads({"data.noise=1"}, box));
    BOOST_TEST(reads({"data.flip=y"}, box));
    BOOST_TEST(!reads({"data.crop=1"}, box));
    BOOST_TEST(!reads({"data.flip=x,z"}, box));
  }
  BOOST_TEST(reads({"data.flip=x"}, of_depth));
  BOOST_TEST(!reads({"data.flip=x"}, of_width));
  BOOST_TEST(reads({"data.flip=z"}, of_width));
  BOOST_TEST(!reads({"data.flip=z"}, of_depth));
  BOOST_TEST(reads({"data.brightness=1", "data.contrast=0.5", "data.erase=1"}, of_depth));
  BOOST_TEST(reads({"data.shift=x"}, of_depth));
  BOOST_TEST(!reads({"data.shift=x"}, of_width));
  const auto turns = [&](const char* plane, const Box& box) {
    return BatchStager<float>::reads_slab(Deck("[model]\ninput = 2x4x4x4\nlayer = relu\n", "test", {std::string("data.rotate=") + plane}), {2, 4, 4, 4}, box);
  };
  const Box upper{.first = {0, 0, 0}, .extent = {2, 4, 4}}, left{.first = {0, 0, 0}, .extent = {4, 4, 2}};
  BOOST_TEST(turns("y-x", upper));
  BOOST_TEST(!turns("y-x", left));
  BOOST_TEST(turns("z-y", left));
  BOOST_TEST(!turns("z-y", upper));
  BOOST_TEST(!turns("x-z", upper));
}

BOOST_AUTO_TEST_SUITE_END()
