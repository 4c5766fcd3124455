// The files of a run besides its checkpoints: whole, of this run alone, and without records of steps that are computed again.
#include "run/run_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "base/log.hpp"
#include "decks.hpp"
#include "support/errors.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

const std::string token = "0123456789abcdef";

nlohmann::json event(const char* kind, std::int64_t step) { return {{"event", kind}, {"step", step}}; }

/// The steps of the lines of metrics.jsonl, all of which must be whole; -1 for an event without step.
std::vector<std::int64_t> steps_in(const fs::path& run) {
  std::vector<std::int64_t> steps;
  std::istringstream in(content_of(run / "metrics.jsonl"));
  for (std::string line; std::getline(in, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    BOOST_TEST(event.is_object(), line);
    if (event.is_object()) steps.push_back(event.value("step", std::int64_t{-1}));
  }
  return steps;
}

using Steps = std::vector<std::int64_t>;

}  // namespace

BOOST_AUTO_TEST_SUITE(run_directory)

BOOST_AUTO_TEST_CASE(the_path_is_that_of_the_output_or_of_the_name) {
  BOOST_TEST(run_path(small_deck()) == fs::path("runs/small"));
  for (const auto& [given, expected] :
       std::vector<std::pair<std::string, std::string>>{{"a", "a"}, {"a/b/", "a/b"}, {"/", "/"}, {"a/..", "a/.."}, {"..", ".."}})
    BOOST_TEST(run_path(small_deck({"run.output=" + given})) == fs::path(expected));
}

BOOST_AUTO_TEST_CASE(a_new_run_begins_with_its_deck_and_no_records) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  if (comm.rank() == 0) write_file(folder / "metrics.jsonl", event("step", 3).dump() + "\n");
  comm.barrier();
  const Deck deck = small_deck({"optimizer.lr=0.25"});
  RunDirectory directory(comm, deck, folder.path(), -1, token);
  BOOST_TEST(directory.path() == folder.path());
  comm.barrier();
  BOOST_TEST(content_of(folder / "deck.ini") == deck.resolved());
  BOOST_TEST(content_of(folder / "metrics.jsonl").empty());
  comm.barrier();
  // All ranks record; rank 0 writes.
  directory.event(event("start", 0));
  directory.event({{"event", "note"}, {"text", "two\nlines, and a byte that is no text: \xff"}});
  comm.barrier();
  BOOST_TEST(steps_in(folder.path()) == (Steps{0, -1}));
}

BOOST_AUTO_TEST_CASE(a_restart_removes_the_records_that_it_makes_again) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  const std::string before = event("start", 0).dump() + "\n" + event("step", 9).dump() + "\n" + event("epoch", 10).dump() + "\nnot json\n" +
                             event("checkpoint", 10).dump() + "\n" + event("step", 11).dump() + "\n{\"event\":\"note\"}\n{\"event\":\"step\",\"st";
  if (comm.rank() == 0) {
    write_file(folder / "metrics.jsonl", before);
    write_file(folder / "log.txt", "said before\n");
  }
  comm.barrier();
  RunDirectory directory(comm, small_deck(), folder.path(), 10, token);
  comm.barrier();
  BOOST_TEST(steps_in(folder.path()) == (Steps{0, 9, 10, 10, -1}));
  BOOST_TEST(content_of(folder / "log.txt").starts_with("said before\n"));
  BOOST_TEST(!directory.find_event(comm, "epoch", 10).is_null());
  BOOST_TEST(directory.find_event(comm, "epoch", 9).is_null());  // a step, no epoch
  BOOST_TEST(directory.find_event(comm, "epoch", 11).is_null());

  for (const std::int64_t step : {11, 12, 13}) directory.event(event("step", step));
  directory.event(event("epoch", 13));
  BOOST_TEST(!directory.find_event(comm, "epoch", 13).is_null());
  directory.drop_after(12);  // a rollback
  directory.event(event("step", 13));
  comm.barrier();
  BOOST_TEST(steps_in(folder.path()) == (Steps{0, 9, 10, 10, -1, 11, 12, 13}));
  BOOST_TEST(directory.find_event(comm, "epoch", 13).is_null());
}

BOOST_AUTO_TEST_CASE(an_earlier_run_that_still_lives_writes_into_its_own_old_file) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  RunDirectory earlier(comm, small_deck(), folder.path(), -1, token);
  earlier.event(event("step", 1));
  comm.barrier();
  RunDirectory later(comm, small_deck(), folder.path(), 1, "fedcba9876543210");
  earlier.event(event("step", 2));
  later.event(event("step", 102));
  comm.barrier();
  BOOST_TEST(steps_in(folder.path()) == (Steps{1, 102}));
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_replaced_is_an_error_of_all_ranks) {
  const Communicator comm = Communicator::world();
  for (const char* name : {"metrics.jsonl", "deck.ini"}) {
    const TemporaryDirectory folder;
    if (comm.rank() == 0) fs::create_directory(folder / name);
    comm.barrier();
    check_error([&] { RunDirectory(comm, small_deck(), folder.path(), 5, token); }, ExitCode::checkpoint, {folder.path().string(), name});
  }
}

BOOST_AUTO_TEST_CASE(a_trace_is_one_json_list_of_all_ranks) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  double seconds = 0;
  Trace trace(true), off(false);
  for (int i = 0; i < 3; ++i) {
    const Trace::Phase phase(trace, "forward", seconds);
    const Trace::Phase other(off, "forward", seconds);
  }
  BOOST_TEST(seconds > 0);
  trace.write(comm, folder / "trace.json", token);
  off.write(comm, folder / "off.json", token);
  BOOST_TEST(!fs::exists(folder / "off.json"));
  if (comm.rank() != 0) return;
  const auto events = nlohmann::json::parse(content_of(folder / "trace.json"), nullptr, false);
  BOOST_REQUIRE(events.is_array());
  std::map<int, int> spans;
  for (const auto& one : events)
    if (one["ph"] == "X") {
      BOOST_TEST(one["name"] == "forward");
      BOOST_TEST(one["dur"].get<double>() >= 0);
      ++spans[one["pid"].get<int>()];
    }
  BOOST_TEST(spans.size() == static_cast<std::size_t>(comm.size()));
  for (const auto& [rank, count] : spans) BOOST_TEST(count == 3, "rank " << rank);
}

BOOST_AUTO_TEST_SUITE_END()
