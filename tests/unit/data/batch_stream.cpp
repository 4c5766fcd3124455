#include "data/batch_stream.hpp"

#include <algorithm>

#include "data/sampler.hpp"
#include "made_shards.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

Communicator self() { return Communicator(MPI_COMM_SELF); }

struct Made {
  TemporaryDirectory folder{self()};
  std::vector<std::int64_t> sizes;
  MadeShards made;
  std::unique_ptr<DataSet> data;

  Made(std::vector<std::int64_t> rows, const MadeShards& how) : sizes(std::move(rows)), made(how) {
    make_shards(folder.path(), sizes, made);
    data = std::make_unique<DataSet>(self(), folder.path().string(), ShardNames{}, Shape{made.elements}, made.demand());
  }
};

MadeShards random_contents(RandomStream& random) {
  MadeShards made;
  made.elements = 1 + static_cast<std::int64_t>(random.below(5));
  made.feature_type = random.below(2) ? ElementType::i32 : ElementType::f32;
  const ElementType label_types[] = {ElementType::u8,  ElementType::i8,  ElementType::i32, ElementType::u64,
                                     ElementType::i64, ElementType::f32, ElementType::f64};
  made.label_type = label_types[random.below(7)];
  made.classes = random.below(3) == 0 ? 0 : 1 + static_cast<std::int64_t>(random.below(9));
  made.label_count = 1 + static_cast<std::int64_t>(random.below(3));
  made.gzip = random.below(2) ? 1 : 0;
  return made;
}

BatchStream::Options random_options(RandomStream& random) {
  BatchStream::Options options;
  const auto up_to = [&](std::uint64_t n) { return 1 + static_cast<std::int64_t>(random.below(n)); };
  options.batch = up_to(40);
  options.chunk = random.below(4) ? up_to(30) : 0;
  options.window = random.below(4) ? up_to(120) : 0;
  options.cache_bytes = random.below(3) ? 0 : 1 << 30;
  options.seed = random.bits64();
  options.order = random.below(4) ? BatchStream::Order::shuffled : BatchStream::Order::stored;
  return options;
}

using Batches = std::vector<std::vector<std::int64_t>>;

/// The next `n` batches, whose numbers shall go on from (epoch, index).
Batches take(BatchStream& stream, const MadeShards& made, std::int64_t epoch, std::int64_t index, std::int64_t n) {
  Batches result;
  for (; n > 0; --n) {
    const HostBatch& batch = stream.next();
    BOOST_TEST(batch.epoch == epoch);
    BOOST_TEST(batch.index == index);
    BOOST_TEST(batch.count <= stream.largest_share());
    result.push_back(rows_of(batch, made));
    if (++index == stream.batches()) ++epoch, index = 0;
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_stream)

BOOST_AUTO_TEST_CASE(every_row_once_an_epoch_on_any_number_of_ranks) {
  RandomStream random(31);
  IoThread io;
  for (int trial = 0; trial < 24; ++trial) {
    const Made m(random_sizes(random, 8, 80), random_contents(random));
    BatchStream::Options options = random_options(random);
    const auto epoch = static_cast<std::int64_t>(random.below(4));
    Batches of_one_rank;
    for (const int ranks : {1, 2, 3, 4, 8}) {
      options.ranks = ranks;
      Batches together(static_cast<std::size_t>((m.data->size() + options.batch - 1) / options.batch));
      for (int r = 0; r < ranks; ++r) {
        options.rank = r;
        BatchStream stream(*m.data, io, options);
        BOOST_REQUIRE(stream.batches() == static_cast<std::int64_t>(together.size()));
        stream.seek(epoch, 0);
        const Batches mine = take(stream, m.made, epoch, 0, stream.batches());
        for (std::size_t b = 0; b < mine.size(); ++b) {
          const Share share = share_of(std::min(options.batch, m.data->size() - static_cast<std::int64_t>(b) * options.batch), r, ranks);
          BOOST_TEST(static_cast<std::int64_t>(mine[b].size()) == share.count);
          together[b].insert(together[b].end(), mine[b].begin(), mine[b].end());
        }
      }
      if (ranks == 1) of_one_rank = together;
      BOOST_TEST((together == of_one_rank));
    }
    std::vector<std::int64_t> all;
    for (const auto& batch : of_one_rank) all.insert(all.end(), batch.begin(), batch.end());
    std::sort(all.begin(), all.end());
    BOOST_REQUIRE(static_cast<std::int64_t>(all.size()) == m.data->size());
    for (std::int64_t row = 0; row < m.data->size(); ++row) BOOST_REQUIRE(all[static_cast<std::size_t>(row)] == row);
  }
}

BOOST_AUTO_TEST_CASE(shares_that_change_on_the_way_leave_every_batch_as_it_is) {
  RandomStream random(36);
  IoThread io;
  for (int trial = 0; trial < 40; ++trial) {
    const Made m(random_sizes(random, 8, 80), random_contents(random));
    BatchStream::Options options = random_options(random);
    const int ranks = 1 + static_cast<int>(random.below(4));
    const std::int64_t batches = (m.data->size() + options.batch - 1) / options.batch, all = 3 * batches + 20;
    options.ranks = 1;
    BatchStream whole(*m.data, io, options);
    whole.seek(0, 0);
    const Batches want = take(whole, m.made, 0, 0, all);
    std::vector<std::vector<std::int64_t>> divisions;  // asked for before batch 0, 5, 10, ...
    for (std::int64_t i = 0; i < all; i += 5) {
      auto& counts = divisions.emplace_back(static_cast<std::size_t>(ranks), 0);
      for (std::int64_t k = 0; k < options.batch; ++k) ++counts[random.below(static_cast<std::uint64_t>(ranks))];
    }
    const bool seeks = random.below(3) == 0;
    Batches got(static_cast<std::size_t>(all));
    std::int64_t followed = 0;
    for (int r = 0; r < ranks; ++r) {
      options.ranks = ranks, options.rank = r, options.most = options.batch;
      BatchStream stream(*m.data, io, options);
      stream.seek(0, 0);
      std::int64_t epoch = 0, index = 0;
      for (std::int64_t i = 0; i < all; ++i) {
        const auto& asked = divisions[static_cast<std::size_t>(i / 5)];
        if (i % 5 == 0) stream.set_shares(asked, epoch, index);
        if (seeks && i == all / 2) stream.seek(epoch, index + batches), stream.seek(epoch, index);
        const Batches one = take(stream, m.made, epoch, index, 1);
        auto& together = got[static_cast<std::size_t>(i)];
        together.insert(together.end(), one[0].begin(), one[0].end());
        if (one[0].size() == static_cast<std::size_t>(asked[static_cast<std::size_t>(r)])) ++followed;
        if (++index == batches) ++epoch, index = 0;
      }
    }
    BOOST_TEST((got == want));
    if (options.cache_bytes > 0 && batches > 1) BOOST_TEST(followed >= ranks * (all - all / batches - 1));
  }
}

BOOST_AUTO_TEST_CASE(uneven_shares_hold_from_the_window_after_the_next) {
  const Made m({400}, MadeShards{});
  IoThread io;
  BatchStream stream(*m.data, io, {.batch = 10, .rank = 1, .ranks = 2, .most = 8, .chunk = 10, .window = 40});
  stream.seek(0, 0);
  stream.next();
  stream.set_shares({2, 8}, 0, 2);
  for (std::int64_t b = 1; b < 80; ++b) BOOST_TEST(stream.next().count == (b < 8 ? 5 : 8));
  BOOST_CHECK_THROW(stream.set_shares({1, 9}, 2, 10), Error);  // more than `most`
  BOOST_CHECK_THROW(stream.set_shares({2, 7}, 2, 10), Error);  // not the batch
  BOOST_CHECK_THROW(stream.set_shares({2, 1, 7}, 2, 10), Error);
}

BOOST_AUTO_TEST_CASE(to_seek_is_to_have_run_there) {
  RandomStream random(32);
  IoThread io;
  for (int trial = 0; trial < 20; ++trial) {
    const Made m(random_sizes(random, 6, 100), random_contents(random));
    BatchStream::Options options = random_options(random);
    options.ranks = 1 + static_cast<int>(random.below(3));
    options.rank = static_cast<int>(random.below(static_cast<std::uint64_t>(options.ranks)));
    BatchStream stream(*m.data, io, options), jumping(*m.data, io, options);
    stream.seek(0, 0);
    const std::int64_t batches = stream.batches();
    const Batches run = take(stream, m.made, 0, 0, 3 * batches);
    for (int jump = 0; jump < 6; ++jump) {
      const auto at = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(3 * batches)));
      if (random.below(2))
        jumping.seek(at / batches, at % batches);
      else
        jumping.seek(0, at);
      const std::int64_t n = std::min<std::int64_t>(3 * batches - at, static_cast<std::int64_t>(random.below(20)));
      const Batches got = take(jumping, m.made, at / batches, at % batches, n);
      BOOST_TEST(std::equal(got.begin(), got.end(), run.begin() + at));
    }
  }
}

BOOST_AUTO_TEST_CASE(epochs_and_seeds_differ_and_repeat) {
  IoThread io;
  const Made m({70, 0, 1, 130}, MadeShards{});
  for (const std::int64_t cache : {0, 1 << 30}) {
    const auto epoch = [&](std::int64_t number, std::uint64_t seed) {
      BatchStream::Options options;
      options.batch = 32, options.chunk = 8, options.window = 64, options.cache_bytes = cache, options.seed = seed;
      BatchStream stream(*m.data, io, options);
      stream.seek(number, 0);
      return take(stream, m.made, number, 0, stream.batches());
    };
    BOOST_TEST((epoch(3, 1) == epoch(3, 1)));
    BOOST_TEST((epoch(3, 1) != epoch(4, 1)));
    BOOST_TEST((epoch(3, 1) != epoch(3, 2)));
  }
}

BOOST_AUTO_TEST_CASE(stored_order_is_the_rows_order_in_every_epoch) {
  RandomStream random(34);
  IoThread io;
  for (int trial = 0; trial < 10; ++trial) {
    const Made m(random_sizes(random, 6, 60), random_contents(random));
    BatchStream::Options options = random_options(random);
    options.order = BatchStream::Order::stored;
    options.ranks = 1 + static_cast<int>(random.below(4));
    options.rank = static_cast<int>(random.below(static_cast<std::uint64_t>(options.ranks)));
    BatchStream stream(*m.data, io, options);
    stream.seek(0, 0);
    for (std::int64_t b = 0; b < 3 * stream.batches(); ++b) {
      const HostBatch& batch = stream.next();
      std::int64_t row = b % stream.batches() * options.batch + batch.first;
      for (const std::int64_t got : rows_of(batch, m.made)) BOOST_TEST(got == row++);
    }
  }
}

BOOST_AUTO_TEST_CASE(large_samples_in_windows_of_few_batches) {
  IoThread io;
  MadeShards made;
  made.elements = 20000;  // 80 kB a row
  const Made m({40, 7, 33}, made);
  for (const std::int64_t cache : {0, 1 << 30})
    for (const std::int64_t window : {16, 32, 48}) {
      BatchStream::Options options;
      options.batch = 16, options.chunk = 4, options.window = window, options.cache_bytes = cache;
      BatchStream stream(*m.data, io, options);
      for (const std::int64_t from : {0, 3, 1}) {
        stream.seek(0, from);
        const Batches got = take(stream, made, 0, from, 2 * stream.batches());
        std::vector<int> met(80);
        for (const auto& batch : got)
          for (const std::int64_t row : batch) ++met[static_cast<std::size_t>(row)];
        BOOST_TEST(std::count_if(met.begin(), met.end(), [](int n) { return n >= 1 && n <= 3; }) == 80);
      }
    }
}

BOOST_AUTO_TEST_CASE(sequential_covers_all_rows_once_in_order) {
  RandomStream random(33);
  IoThread io;
  for (int trial = 0; trial < 30; ++trial) {
    const Made m(random_sizes(random, 6, 60), random_contents(random));
    BatchStream::Options options = random_options(random);
    options.order = BatchStream::Order::blocks;
    options.ranks = 1 + static_cast<int>(random.below(8));
    std::vector<std::int64_t> all;
    std::vector<std::int64_t> met;  // of each batch, on the ranks so far
    std::vector<std::int64_t> said;
    for (int r = 0; r < options.ranks; ++r) {
      options.rank = r;
      const Share mine = share_of(m.data->size(), r, options.ranks);
      BatchStream stream(*m.data, io, options);
      met.resize(static_cast<std::size_t>(stream.batches()));
      said.resize(met.size());
      for (int pass = 0; pass < 2; ++pass) {
        stream.seek(pass, 0);
        std::int64_t row = mine.first;
        for (std::int64_t b = 0; b < stream.batches() + 3; ++b) {
          const HostBatch& batch = stream.next();
          const auto rows = rows_of(batch, m.made);
          BOOST_TEST(batch.index == b);
          const auto longest = (options.batch + options.ranks - 1) / options.ranks;
          BOOST_TEST(batch.count == std::min(longest, mine.first + mine.count - row));
          if (batch.count > 0) BOOST_TEST(batch.first_row == row);
          for (const std::int64_t got : rows) BOOST_TEST(got == row++);
          if (b >= stream.batches()) BOOST_TEST(batch.count + batch.global_count == 0);
          if (pass > 0 || b >= stream.batches()) continue;
          const auto i = static_cast<std::size_t>(b);
          BOOST_TEST(batch.first == met[i]);
          met[i] += batch.count;
          said[i] = batch.global_count;
        }
        BOOST_TEST(row == mine.first + mine.count);
      }
      all.push_back(mine.count);
    }
    BOOST_TEST(met == said, boost::test_tools::per_element());
    BOOST_TEST(std::count(met.begin(), met.end(), 0) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_cached_data_set_is_read_once) {
  IoThread io;
  const Made m({50, 60}, MadeShards{});
  const std::int64_t bytes = m.data->size() * (m.data->feature_bytes() + m.data->label_bytes());
  for (const bool fits : {true, false}) {
    BatchStream::Options options;
    options.batch = 10, options.chunk = 5, options.window = 20, options.cache_bytes = fits ? bytes : bytes - 1;
    BatchStream stream(*m.data, io, options);
    BOOST_TEST(stream.bytes_read() == 0);
    stream.seek(0, 0);
    take(stream, m.made, 0, 0, 4 * stream.batches());
    io.run([] {});
    if (fits)
      BOOST_TEST(stream.bytes_read() == bytes);
    else
      BOOST_TEST(stream.bytes_read() >= 4 * bytes);
  }
}

BOOST_AUTO_TEST_CASE(the_memory_of_neighbours_is_left_alone) {
  // Two streams share one I/O thread and are used in turns.
  IoThread io;
  const Made m({64, 64, 64}, MadeShards{});
  BatchStream::Options train, evaluate;
  train.batch = evaluate.batch = 12;
  train.chunk = 4, train.window = 24;
  evaluate.order = BatchStream::Order::blocks;
  evaluate.window = 36;
  BatchStream first(*m.data, io, train), second(*m.data, io, evaluate);
  first.seek(0, 0);
  second.seek(0, 0);
  for (int i = 0; i < 16; ++i) {
    const HostBatch& one = first.next();
    const auto before = rows_of(one, m.made);
    rows_of(second.next(), m.made);
    io.run([] {});
    BOOST_TEST(rows_of(one, m.made) == before, boost::test_tools::per_element());
  }
}

// Two streams over the same data, one of boxes: the same batches, of each sample the box.
BOOST_AUTO_TEST_CASE(a_slab_is_that_part_of_each_sample) {
  RandomStream random(40);
  IoThread io;
  for (int trial = 0; trial < 24; ++trial) {
    MadeShards made = random_contents(random);
    const auto up_to = [&](std::uint64_t n) { return static_cast<std::int64_t>(1 + random.below(n)); };
    const Shape sample{up_to(3), up_to(3), up_to(5), up_to(6)}, label{up_to(2), up_to(4), up_to(5)};
    made.elements = sample.size();
    if (trial % 3 > 0) made.sample = sample;  // or a list of numbers
    made.label_count = label.size();
    if (trial % 3 > 0) made.label = label;
    const Made m(random_sizes(random, 4, 40), made);
    BatchStream::Options options = random_options(random);
    if (trial % 4 == 0) options.order = BatchStream::Order::blocks;
    options.ranks = 1 + static_cast<int>(random.below(3));
    options.rank = static_cast<int>(random.below(static_cast<std::uint64_t>(options.ranks)));
    const auto some_box = [&](const Shape& shape) {
      Box box;
      for (int d = 1; d < shape.rank(); ++d) {
        const auto a = static_cast<std::size_t>(3 - shape.rank() + d);
        box.first[a] = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(shape[d])));
        box.extent[a] = up_to(static_cast<std::uint64_t>(shape[d] - box.first[a]));
      }
      return box;
    };
    BatchStream::Options of_slab = options, without_features = options, without_labels = options;
    const Box box = some_box(sample), label_box = some_box(label);
    of_slab.slab = box, of_slab.sample = sample;
    if (made.classes == 0) of_slab.label_slab = label_box, of_slab.label = label;
    without_features.features = false, without_labels.labels = false;
    BatchStream whole(*m.data, io, options), slab(*m.data, io, of_slab), labels(*m.data, io, without_features), features(*m.data, io, without_labels);
    for (BatchStream* stream : {&whole, &slab, &labels, &features}) stream->seek(1, 0);
    bool right = true;
    const auto same_part = [&](const std::byte* part, const std::byte* all, const Shape& shape, const Box& of, std::size_t bytes) {
      const auto extent = [&](int a) { return shape.rank() - 3 + a >= 1 ? shape[shape.rank() - 3 + a] : 1; };
      for (std::int64_t c = 0; c < shape[0]; ++c)
        for (std::int64_t z = of.first[0]; z < of.end(0); ++z)
          for (std::int64_t y = of.first[1]; y < of.end(1); ++y)
            for (std::int64_t x = of.first[2]; x < of.end(2); ++x, part += bytes)
              right &= std::memcmp(part, all + static_cast<std::size_t>(((c * extent(0) + z) * extent(1) + y) * extent(2) + x) * bytes, bytes) == 0;
    };
    const std::int64_t batches = whole.batches() * (options.order == BatchStream::Order::blocks ? 1 : 2);
    for (std::int64_t b = 0; b < batches; ++b) {
      const HostBatch &all = whole.next(), &part = slab.next(), &no_features = labels.next(), &no_labels = features.next();
      BOOST_TEST_REQUIRE(part.features.size() == static_cast<std::size_t>(all.count));
      BOOST_TEST(part.feature_slab == (box.pixels() < sample.size() / sample[0]));
      BOOST_TEST_REQUIRE(part.values.size() == all.values.size());
      BOOST_TEST(std::equal(all.classes.begin(), all.classes.end(), part.classes.begin(), part.classes.end()));
      for (std::size_t i = 0; i < part.features.size(); ++i) same_part(part.features[i], all.features[i], sample, box, 4);
      for (std::size_t i = 0; i < part.values.size(); ++i) same_part(part.values[i], all.values[i], label, label_box, 8);
      for (const HostBatch* other : {&part, &no_features, &no_labels}) {
        BOOST_TEST(other->epoch == all.epoch);
        BOOST_TEST(other->index == all.index);
        BOOST_TEST(other->global_count == all.global_count);
        BOOST_TEST(other->first == all.first);
        BOOST_TEST(other->count == all.count);
      }
      BOOST_TEST(no_features.features.empty());
      BOOST_TEST(no_labels.classes.empty());
      BOOST_TEST(no_labels.values.empty());
      BOOST_TEST(std::equal(all.classes.begin(), all.classes.end(), no_features.classes.begin(), no_features.classes.end()));
      for (std::size_t i = 0; i < all.features.size(); ++i)
        right &= std::memcmp(no_labels.features[i], all.features[i], static_cast<std::size_t>(made.elements) * 4) == 0;
      for (std::size_t i = 0; i < all.values.size(); ++i)
        right &= std::memcmp(no_features.values[i], all.values[i], static_cast<std::size_t>(label.size()) * 8) == 0;
    }
    BOOST_TEST(right);
  }
}

BOOST_AUTO_TEST_CASE(slabs_ask_the_files_for_their_part_only) {
  IoThread io;
  MadeShards made;
  made.elements = 2 * 12 * 5, made.sample = Shape{2, 12, 5}, made.feature_type = ElementType::f32;
  const Made m({30, 17, 0, 3}, made);
  const std::int64_t all = m.data->size() * m.data->feature_bytes(), labels = m.data->size() * m.data->label_bytes();
  const auto bytes_of_an_epoch = [&](const BatchStream::Options& options) {
    BatchStream stream(*m.data, io, options);
    stream.seek(0, 0);
    for (std::int64_t b = 0; b < stream.batches(); ++b) stream.next();
    return stream.bytes_read();
  };
  BatchStream::Options options;
  options.batch = 10, options.cache_bytes = 1 << 30, options.sample = made.sample;
  BOOST_TEST(bytes_of_an_epoch(options) == all + labels);
  for (const std::int64_t ranks : {2, 3, 4}) {
    options.slab = Box{.first = {0, 12 / ranks, 0}, .extent = {1, 12 / ranks, 5}};
    BOOST_TEST(bytes_of_an_epoch(options) == all / ranks + labels);
  }
  options.labels = false;
  BOOST_TEST(bytes_of_an_epoch(options) == all / 4);
  options.features = false;
  BOOST_TEST(bytes_of_an_epoch(options) == 0);
  options.labels = true;
  BOOST_TEST(bytes_of_an_epoch(options) == labels);
}

BOOST_AUTO_TEST_CASE(a_bad_number_in_a_slab_is_named_by_its_place_in_the_row) {
  IoThread io;
  MadeShards made;
  made.elements = 2 * 3 * 4 * 5, made.sample = Shape{2, 3, 4, 5}, made.feature_type = ElementType::f32;
  made.spoil = [](std::int64_t row, std::int64_t element, double value) { return row == 4 && element == 97 ? std::nan("") : value; };
  const Made m({9}, made);
  const auto read = [&](const Box& box) {
    BatchStream::Options options;
    options.batch = 9, options.slab = box, options.sample = made.sample;
    BatchStream stream(*m.data, io, options);
    stream.seek(0, 0);
    stream.next();
  };
  // Element 97 is channel 1, z 1, y 3, x 2.
  BOOST_CHECK_NO_THROW(read({.first = {0, 0, 0}, .extent = {3, 3, 5}}));
  try {
    read({.first = {1, 2, 1}, .extent = {2, 2, 3}});
    BOOST_ERROR("no error");
  } catch (const Error& error) {
    const std::string message = error.what();
    BOOST_TEST((message.find("row 4 of data set '/x' holds NaN (value 97 of 120 in the row)") != std::string::npos), message);
  }
}

BOOST_AUTO_TEST_SUITE_END()
