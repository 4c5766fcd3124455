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
  const auto upto = [&](std::uint64_t n) { return 1 + static_cast<std::int64_t>(random.below(n)); };
  options.batch = upto(40);
  options.chunk = random.below(4) ? upto(30) : 0;
  options.window = random.below(4) ? upto(120) : 0;
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
          const Share share = share_of(
              std::min(options.batch, m.data->size() - static_cast<std::int64_t>(b) * options.batch), r, ranks);
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

BOOST_AUTO_TEST_SUITE_END()
