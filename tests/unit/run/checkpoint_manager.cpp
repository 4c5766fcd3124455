// Checkpoints of a run that goes on: what they hold, which ones are kept, and what a failed one does to the run.
#include "run/checkpoint_manager.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <thread>

#include "decks.hpp"
#include "support/errors.hpp"
#include "support/temporary_directory.hpp"
#include "unit/io/checkpoints.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

/// A run that writes checkpoints into a folder of its own.
class Run {
 public:
  explicit Run(const std::vector<std::string>& overrides)
      : deck_(small_deck(overrides)), ownership_(comm_, path()), directory_(comm_, deck_, path(), -1, ownership_.token()) {
    manager.emplace(deck_, comm_, h5_, directory_, ownership_);
  }
  ~Run() {
    manager.reset();
    comm_.barrier();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  fs::path path() const { return folder_ / "run"; }
  const Communicator& comm() const { return comm_; }
  void write(std::int64_t step, const State& state) { manager->write(step, state.arrays, {}, state.content, Timer()); }
  /// The steps of the files that are there, after all ranks are here.
  std::set<std::int64_t> steps() const {
    comm_.barrier();
    std::set<std::int64_t> found;
    for (const auto& file : list_checkpoints(path())) found.insert(checkpoint_step(file));
    comm_.barrier();
    return found;
  }
  std::size_t events(const std::string& kind) const {
    comm_.barrier();
    std::istringstream in(content_of(path() / "metrics.jsonl"));
    std::size_t count = 0;
    for (std::string line; std::getline(in, line);) count += nlohmann::json::parse(line)["event"] == kind;
    return count;
  }
  /// No checkpoint can be written while there is a file in the place of their folder.
  void spoil() const {
    comm_.barrier();
    if (comm_.rank() == 0) {
      fs::rename(path() / "checkpoints", path() / "aside");
      write_file(path() / "checkpoints", "");
    }
    comm_.barrier();
  }
  void repair() const {
    comm_.barrier();
    if (comm_.rank() == 0) {
      fs::remove(path() / "checkpoints");
      fs::rename(path() / "aside", path() / "checkpoints");
    }
    comm_.barrier();
  }

 private:
  const Communicator comm_ = Communicator::world();
  const TemporaryDirectory folder_;
  const Deck deck_;
  IoThread h5_;
  RunOwnership ownership_;
  RunDirectory directory_;

 public:
  std::optional<CheckpointManager> manager;
};

const std::vector<std::string> ways{"checkpoint.async=true", "checkpoint.async=false"};

bool poll_until_true(CheckpointManager& manager) {
  for (int i = 0; i < 30000; ++i) {
    if (manager.poll()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_manager)

BOOST_AUTO_TEST_CASE(a_checkpoint_has_the_values_of_the_moment_it_was_asked_for) {
  for (const std::string& way : ways) {
    BOOST_TEST_CONTEXT(way) {
      Run run({way});
      State state = random_state(11, 9);
      const State then = random_state(11, 9);
      run.manager->prepare(state.arrays);
      run.write(5, state);
      // Training goes on.
      for (auto& values : state.floats) std::fill(values.begin(), values.end(), -1.0f);
      for (auto& values : state.doubles) std::fill(values.begin(), values.end(), -1.0);
      run.manager->finish(true);
      BOOST_TEST(run.steps() == std::set<std::int64_t>{5}, boost::test_tools::per_element());
      if (run.comm().rank() == 0) {
        const CheckpointReader reader(checkpoint_path(run.path(), 5));
        for (const CheckpointArray& array : then.arrays) BOOST_TEST(same_bytes(array, reader), array.name);
        BOOST_TEST(same_content(reader.content(), then.content));
        BOOST_TEST(reader.verify().empty());
      }
      BOOST_TEST(run.manager->totals().written == 1);
      BOOST_TEST(run.manager->totals().failed == 0);
      BOOST_TEST(run.manager->last_seconds() > 0);
      BOOST_TEST(run.events("checkpoint") == 1u);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_newest_ones_are_kept) {
  for (const std::string& way : ways)
    for (const int keep : {1, 3}) {
      BOOST_TEST_CONTEXT(way << ", keep " << keep) {
        Run run({way, "checkpoint.keep=" + std::to_string(keep)});
        const State state = random_state(12, 4);
        for (std::int64_t step = 10; step <= 50; step += 10) run.write(step, state);
        run.manager->finish(true);
        BOOST_TEST(run.steps() == (keep == 1 ? std::set<std::int64_t>{50} : std::set<std::int64_t>{30, 40, 50}), boost::test_tools::per_element());
        BOOST_TEST(run.manager->totals().written == 5);
        // A rollback to step 30: later ones belong to a past that is computed anew. A step without file removes nothing.
        if (run.comm().rank() == 0) run.manager->remove_old(35);
        BOOST_TEST(run.steps().size() == static_cast<std::size_t>(keep));
        if (run.comm().rank() == 0) run.manager->remove_old(30);
        BOOST_TEST(run.steps() == (keep == 1 ? std::set<std::int64_t>{50} : std::set<std::int64_t>{30}), boost::test_tools::per_element());
      }
    }
}

BOOST_AUTO_TEST_CASE(training_goes_on_after_a_failure_but_not_after_that_of_the_last_one) {
  for (const std::string& way : ways) {
    BOOST_TEST_CONTEXT(way) {
      Run run({way, "checkpoint.on_error=continue", "run.io_retries=0"});
      const State state = random_state(13, 4);
      run.write(1, state);
      run.manager->finish(false);
      run.spoil();
      run.write(2, state);
      BOOST_CHECK_NO_THROW(run.manager->finish(false));
      BOOST_TEST(!run.manager->poll());
      BOOST_CHECK_NO_THROW(run.manager->raise());
      check_error([&] { run.manager->finish(true); }, ExitCode::checkpoint, {"step-00000002", "last checkpoint", "lost"});
      run.repair();
      run.write(3, state);
      BOOST_CHECK_NO_THROW(run.manager->finish(true));
      BOOST_TEST(run.steps() == (std::set<std::int64_t>{1, 3}), boost::test_tools::per_element());
      BOOST_TEST(run.manager->totals().written == 2);
      BOOST_TEST(run.manager->totals().failed == 1);
      BOOST_TEST(run.events("checkpoint") == 2u);
      BOOST_TEST(run.events("checkpoint_failed") == 1u);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_failure_ends_the_run_on_all_ranks_if_the_deck_says_so) {
  const std::vector<std::string> said{"step-00000002"};
  {
    Run run({"checkpoint.async=false", "checkpoint.on_error=stop", "run.io_retries=0"});
    run.spoil();
    check_error([&] { run.write(2, random_state(14, 3)); }, ExitCode::checkpoint, said);
  }
  {
    Run run({"checkpoint.async=true", "checkpoint.on_error=stop", "run.io_retries=0"});
    run.spoil();
    run.write(2, random_state(14, 3));
    BOOST_TEST(poll_until_true(*run.manager));
    check_error([&] { run.manager->raise(); }, ExitCode::checkpoint, said);
    check_error([&] { run.manager->finish(false); }, ExitCode::checkpoint, said);
  }
  {
    Run run({"checkpoint.async=true", "checkpoint.on_error=stop", "run.io_retries=0"});
    run.spoil();
    run.write(2, random_state(14, 3));
    check_error([&] { run.write(3, random_state(14, 3)); }, ExitCode::checkpoint, said);  // of the previous one
  }
}

BOOST_AUTO_TEST_CASE(a_later_run_ends_this_one_whatever_the_deck_says) {
  for (const std::string& way : ways) {
    BOOST_TEST_CONTEXT(way) {
      Run run({way, "checkpoint.on_error=continue"});
      const State state = random_state(15, 3);
      run.write(1, state);
      run.manager->finish(false);
      const RunOwnership later(run.comm(), run.path());
      const auto act = [&] {
        run.write(2, state);
        run.manager->finish(false);
      };
      BOOST_CHECK_EXCEPTION(act(), Error, [](const Error& error) {
        return error.code() == ExitCode::superseded && std::string(error.what()).find("taken over") != std::string::npos;
      });
      BOOST_TEST(run.steps() == std::set<std::int64_t>{1}, boost::test_tools::per_element());
      check_error([&] { run.manager->raise(); }, ExitCode::superseded, {"taken over"});
    }
  }
}

// As when a rank ends for another reason while its thread still writes.
BOOST_AUTO_TEST_CASE(what_is_there_after_a_manager_that_ended_early_is_whole) {
  Run run({"checkpoint.async=true"});
  run.write(1, random_state(16, 3));
  run.manager.reset();
  run.comm().barrier();
  for (const auto& file : list_checkpoints(run.path())) BOOST_TEST(damage_of(file).empty());
}

BOOST_AUTO_TEST_SUITE_END()
