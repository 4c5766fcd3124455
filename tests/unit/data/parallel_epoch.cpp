// An epoch over ranks that really are processes: together they have every row once.
#include <algorithm>

#include "made_shards.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

BOOST_AUTO_TEST_SUITE(parallel_epoch)

BOOST_AUTO_TEST_CASE(ranks_have_every_row_once) {
  const Communicator world = Communicator::world();
  RandomStream random(61);
  IoThread io;
  for (int trial = 0; trial < 6; ++trial) {
    const TemporaryDirectory folder;
    const auto sizes = random_sizes(random, 9, 90);
    MadeShards made;
    made.gzip = trial % 2;
    if (world.rank() == 0) make_shards(folder.path(), sizes, made);
    world.barrier();
    // HDF5 belongs to the I/O thread here.
    const auto data = io.run([&] { return std::make_unique<DataSet>(world, folder.path().string(), ShardNames{}, Shape{made.elements}, made.demand()); });
    BatchStream::Options options;
    options.batch = 1 + static_cast<std::int64_t>(random.below(30));
    options.chunk = 1 + static_cast<std::int64_t>(random.below(10));
    options.window = 1 + static_cast<std::int64_t>(random.below(100));
    options.cache_bytes = trial % 3 == 2 ? 1 << 30 : 0;
    if (trial == 3) options.order = BatchStream::Order::stored;
    if (trial == 4) options.order = BatchStream::Order::blocks;
    options.rank = world.rank();
    options.ranks = world.size();
    BatchStream stream(*data, io, options);
    BOOST_TEST(world.all_reduce(stream.batches(), MPI_MAX) == stream.batches());
    stream.seek(trial, 0);
    std::vector<std::int64_t> met(static_cast<std::size_t>(data->size()));
    for (std::int64_t b = 0; b < stream.batches(); ++b) {
      const HostBatch& batch = stream.next();
      for (const std::int64_t row : rows_of(batch, made)) ++met[static_cast<std::size_t>(row)];
      BOOST_TEST(world.all_reduce(batch.count) == batch.global_count);
    }
    world.all_reduce(std::span<std::int64_t>(met));
    BOOST_TEST(std::count(met.begin(), met.end(), 1) == data->size());
  }
}

BOOST_AUTO_TEST_SUITE_END()
