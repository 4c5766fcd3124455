// A checkpoint says nothing of ranks: any number of them writes the same bytes, and all succeed or all fail together.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>

#include "checkpoints.hpp"
#include "h5_files.hpp"
#include "io/checkpoint_file.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

struct World {
  const Communicator world = Communicator::world();
};

std::string written_alone(const fs::path& path, const State& state) {
  write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF);
  return bytes_of(path);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(checkpoint_parallel, World)

BOOST_AUTO_TEST_CASE(any_number_of_ranks_writes_the_same_bytes) {
  const TemporaryDirectory folder(world);
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    State state = random_state(seed, 3 * seed);
    RandomStream random(seed);
    if (seed == 5) state.add(random, "model/large", {1500, 3000}, false);  // many pieces, cut between ranks
    if (seed == 6) state.add(random, "model/vector", {1'000'003}, true);
    write_checkpoint(folder / "c.h5", state.arrays, state.content, world.handle());
    const std::string mine = bytes_of(folder / "c.h5");
    BOOST_TEST((mine == written_alone(folder / ("alone" + std::to_string(world.rank()) + ".h5"), state)), "seed " << seed);
    BOOST_TEST(CheckpointReader(folder / "c.h5").verify().empty());
    world.barrier();
  }
}

BOOST_AUTO_TEST_CASE(arrays_may_live_on_some_ranks_only) {
  const TemporaryDirectory folder(world);
  const State state = random_state(31, 40);
  RandomStream random(32);  // the same on all ranks
  State held = state;
  for (auto& array : held.arrays) {
    const auto checkpoints = static_cast<int>(random.below(static_cast<std::uint64_t>(world.size())));
    for (int r = 0; r < world.size(); ++r)
      if (const bool drops = r != checkpoints && random.below(2) == 0; drops && r == world.rank()) array.data = nullptr;
  }
  write_checkpoint(folder / "c.h5", held.arrays, held.content, world.handle());
  BOOST_TEST((bytes_of(folder / "c.h5") == written_alone(folder / ("alone" + std::to_string(world.rank()) + ".h5"), state)));
  for (auto& array : held.arrays) array.data = nullptr;
  check_error([&] { write_checkpoint(folder / "d.h5", held.arrays, held.content, world.handle()); }, ExitCode::internal, {"no rank has"});
}

BOOST_AUTO_TEST_CASE(content_is_that_of_rank_0) {
  const TemporaryDirectory folder(world);
  State state = random_state(33, 2);
  const CheckpointContent content = state.content;
  if (world.rank() > 0) state.content = {"another deck", {{"step", 1}}, {}};
  write_checkpoint(folder / "c.h5", state.arrays, state.content, world.handle());
  BOOST_TEST(same_content(CheckpointReader(folder / "c.h5").content(), content));
}

BOOST_AUTO_TEST_CASE(a_missing_folder_is_one_error_of_all_ranks) {
  const TemporaryDirectory folder(world);
  const State state = random_state(34, 4);
  const fs::path path = folder / "removed" / "c.h5";
  check_error([&] { write_checkpoint(path, state.arrays, state.content, world.handle()); }, ExitCode::checkpoint,
              {path.string(), "No such file or directory", "Hint"});
}

// On all ranks, or on any single one; before, in the middle of, and at the end of the data.
BOOST_AUTO_TEST_CASE(a_full_disk_is_one_error_and_the_earlier_file_stands) {
  const TemporaryDirectory folder(world);
  const fs::path path = folder / "c.h5";
  State state = random_state(35, 10);
  RandomStream random(36);
  for (int k = 0; k < 6; ++k) state.add(random, "model/large" + std::to_string(k), {100, 100}, false);
  write_checkpoint(path, state.arrays, state.content, world.handle());
  const std::string before = bytes_of(path);
  world.barrier();
  int failures = 0;
  for (int trial = 0; trial < 30; ++trial) {
    const int victim = static_cast<int>(random.below(static_cast<std::uint64_t>(world.size()) + 1));  // size: all
    const std::uint64_t limit = random.below(before.size());
    bool failed = false;
    std::string message;
    {
      std::unique_ptr<FullDisk> full;
      if (victim == world.rank() || victim == world.size()) full = std::make_unique<FullDisk>(limit);
      try {
        write_checkpoint(path, state.arrays, state.content, world.handle());
      } catch (const Error& error) {
        failed = true;
        message = error.what();
        BOOST_TEST(static_cast<int>(error.code()) == static_cast<int>(ExitCode::checkpoint));
      }
    }
    failures += failed ? 1 : 0;
    if (failed) {
      BOOST_TEST((message.find(path.string()) != std::string::npos && message.find("File too large") != std::string::npos), message);
    }
    BOOST_TEST(message == world.broadcast(message));  // the same error, or none, on all
    world.barrier();
    BOOST_REQUIRE((bytes_of(path) == before));
    BOOST_REQUIRE(names_in(folder.path()).size() == 1u);
    world.barrier();
  }
  BOOST_TEST(failures > 8);
  BOOST_CHECK_NO_THROW(write_checkpoint(path, state.arrays, state.content, world.handle()));
  BOOST_TEST(CheckpointReader(path).verify().empty());
}

BOOST_AUTO_TEST_CASE(a_copy_is_of_the_moment_in_which_it_was_taken) {
  const TemporaryDirectory folder(world);
  for (std::uint64_t seed = 40; seed < 44; ++seed) {
    State state = random_state(seed, 20);
    const std::string mine = (folder / ("alone" + std::to_string(world.rank()) + ".h5")).string();
    const std::string before = written_alone(mine, state);
    CheckpointStagingBuffer stage(world.handle());
    for (int again = 0; again < 3; ++again) {
      stage.copy(state.arrays);
      for (auto& values : state.floats)
        for (float& v : values) v += 1;
      for (auto& values : state.doubles)
        for (double& v : values) v += 1;
      write_checkpoint(folder / "c.h5", stage, state.content, world.handle(), {});
      if (again == 0) BOOST_TEST((bytes_of(folder / "c.h5") == before));
      world.barrier();
    }
    const std::int64_t bytes = world.all_reduce(stage.own_bytes());
    BOOST_TEST(bytes == stage.bytes());  // no row is copied twice
    state.arrays.pop_back();
    check_error([&] { stage.copy(state.arrays); }, ExitCode::internal, {"the arrays differ"});
  }
}

BOOST_AUTO_TEST_CASE(rows_may_be_made_where_they_wait) {
  const TemporaryDirectory folder(world);
  for (std::uint64_t seed = 60; seed < 68; ++seed) {
    const State state = random_state(seed, 12);
    const std::string mine = (folder / ("alone" + std::to_string(world.rank()) + ".h5")).string();
    const std::string expected = written_alone(mine, state);
    RandomStream random(seed);  // the same on all ranks
    State divided = state;
    for (auto& array : divided.arrays) {
      if (random.below(3) == 0) continue;  // whole on every rank
      const std::int64_t rows = array.shape.rank() == 0 ? 1 : array.shape[0];
      std::vector<std::int64_t> cuts{0, rows};
      for (int r = 1; r < world.size(); ++r) cuts.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(rows) + 1)));
      std::ranges::sort(cuts);
      const auto rank = static_cast<std::size_t>(world.rank());
      array.data = nullptr;
      array.first_row = cuts[rank];
      array.rows = cuts[rank + 1] - cuts[rank];
    }
    const FillRows fill = [&](const auto& place) {
      for (std::size_t k = 0; k < divided.arrays.size(); ++k) {
        const auto& array = divided.arrays[k];
        if (!array.divided() || array.rows == 0) continue;
        const std::int64_t rows = std::max<std::int64_t>(1, array.shape.rank() == 0 ? 1 : array.shape[0]);
        const std::int64_t bytes = array.shape.size() / rows * (array.is_double ? 8 : 4);
        std::memcpy(place(k), static_cast<const std::byte*>(state.arrays[k].data) + array.first_row * bytes, static_cast<std::size_t>(array.rows * bytes));
      }
    };
    for (const bool copies : {false, true}) {
      CheckpointStagingBuffer stage(world.handle());
      for (int again = 0; again < 2; ++again) {
        if (copies)
          stage.copy(divided.arrays, fill);
        else
          stage.refer(divided.arrays, fill);
        write_checkpoint(folder / "c.h5", stage, state.content, world.handle(), {});
        BOOST_TEST((bytes_of(folder / "c.h5") == expected), "seed " << seed << ", copies " << copies);
        world.barrier();
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(errors_that_may_pass_are_met_by_writing_again) {
  const TemporaryDirectory folder(world);
  const State state = random_state(50, 10);
  CheckpointStagingBuffer stage(world.handle());
  stage.refer(state.arrays);
  for (const int failures : {1, 2, 3}) {
    int asked = 0;
    const CheckpointWriting how{.tag = "abc",
                                .permission =
                                    [&] {
                                      if (++asked <= 2 * failures) throw IoError(ExitCode::checkpoint, "it will pass", EIO);
                                    },
                                .retries = 2};
    // It is asked before the file is made, and once more to explain a failure: two throws an attempt.
    if (failures <= 2) {
      write_checkpoint(folder / "c.h5", stage, state.content, world.handle(), how);
      BOOST_TEST(CheckpointReader(folder / "c.h5").verify().empty());
      world.barrier();
    } else {
      check_error([&] { write_checkpoint(folder / "d.h5", stage, state.content, world.handle(), how); }, ExitCode::checkpoint, {"it will pass"});
    }
  }
  const CheckpointWriting taken{.permission = [] { throw fail(ExitCode::superseded, "somebody else's"); }, .retries = 5};
  check_error([&] { write_checkpoint(folder / "d.h5", stage, state.content, world.handle(), taken); }, ExitCode::superseded, {"somebody else's"});
  world.barrier();
  BOOST_TEST(names_in(folder.path()).size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
