// Of two runs in one directory the later one owns it, and the earlier one learns that.
#include "run/run_ownership.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "decks.hpp"
#include "run/run_folder.hpp"
#include "support/errors.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(run_ownership)

BOOST_AUTO_TEST_CASE(tokens_are_16_digits_and_differ) {
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) {
    const std::string token = new_run_token();
    BOOST_TEST(token.size() == 16u);
    BOOST_TEST(token.find_first_not_of("0123456789abcdef") == std::string::npos);
    tokens.insert(token);
  }
  BOOST_TEST(tokens.size() == 100u);
}

BOOST_AUTO_TEST_CASE(all_ranks_have_the_token_of_the_file) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  const fs::path run = folder / "runs/new";
  RunOwnership ownership(comm, run);
  BOOST_TEST(content_of(run / "owner.json").find("\"token\":\"" + ownership.token() + "\"") != std::string::npos);
  BOOST_TEST(fs::is_directory(run / "checkpoints"));
  BOOST_CHECK_NO_THROW(ownership.check());
  BOOST_TEST(!ownership.lost());
}

BOOST_AUTO_TEST_CASE(the_later_run_owns_the_directory) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  RunOwnership earlier(comm, folder / "run");
  RunOwnership later(comm, folder / "run");
  BOOST_TEST(earlier.token() != later.token());
  check_error([&] { earlier.check(); }, ExitCode::superseded, {(folder / "run").string(), "taken over", "process", "run.output"});
  BOOST_CHECK_NO_THROW(later.check());
  // It reads the file at most once per second.
  for (int i = 0; i < 100 && !earlier.lost(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  BOOST_TEST(earlier.lost());
  BOOST_TEST(!later.lost());
}

BOOST_AUTO_TEST_CASE(what_the_file_says_does_not_matter_if_it_is_not_the_token) {
  const Communicator comm = Communicator::world();
  for (const std::string text : {"", "{", "[1, 2]", "{\"token\": 5}", "{\"token\": \"0\", \"process\": \"x\", \"job\": []}"}) {
    const TemporaryDirectory folder;
    RunOwnership ownership(comm, folder / "run");
    if (comm.rank() == 0) write_file(folder / "run" / "owner.json", text);
    comm.barrier();
    check_error([&] { ownership.check(); }, ExitCode::superseded, {"taken over", "run.output"});
  }
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_an_error_but_not_the_loss_of_the_directory) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  RunOwnership ownership(comm, folder / "run");
  comm.barrier();
  if (comm.rank() == 0) fs::remove_all(folder / "run");
  comm.barrier();
  check_error([&] { ownership.check(); }, ExitCode::checkpoint, {"owner.json", "moved", "Hint"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  BOOST_TEST(!ownership.lost());
}

BOOST_AUTO_TEST_CASE(half_written_files_of_dead_runs_are_removed_and_nothing_else) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  const fs::path run = folder / "run";
  { const RunOwnership dead(comm, run); }
  const std::set<std::string> kept{"owner.json", "checkpoints", "metrics.jsonl", "notes.partial", ".mine.partial"};
  if (comm.rank() == 0) {
    write_file(run / "metrics.jsonl", "{\"event\": \"start\"}\n");
    write_file(run / "notes.partial", "a user's");
    write_file(run / ".mine.partial", "a user's");
    write_file(run / ".deck.ini.0123456789abcdef.partial", "half");
    write_file(run / ".hang-0123456789abcdef.partial", "");
    write_file(run / "checkpoints" / ".step-00000012.h5.0123456789abcdef.partial", "half");
    write_file(run / "checkpoints" / "step-00000011.h5", "whole");
    write_file(run / "checkpoints" / "other", "a user's");
  }
  comm.barrier();
  const RunOwnership ownership(comm, run);
  BOOST_TEST(names_in(run) == kept, boost::test_tools::per_element());
  BOOST_TEST(names_in(run / "checkpoints") == (std::set<std::string>{"step-00000011.h5", "other"}), boost::test_tools::per_element());
  BOOST_TEST(content_of(run / "metrics.jsonl") == "{\"event\": \"start\"}\n");
}

BOOST_AUTO_TEST_CASE(a_path_that_is_no_run_directory_is_refused_on_all_ranks) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  if (comm.rank() == 0) {
    write_file(folder / "file", "text");
    fs::create_directory(folder / "other");
    write_file(folder / "other" / "thesis.tex", "text");
  }
  comm.barrier();
  for (const char* name : {"file", "file/below"})
    check_error([&] { RunOwnership(comm, folder / name); }, ExitCode::checkpoint, {(folder / "file").string(), "Hint"});
  for (const char* name : {"file", "other"})
    check_error([&] { require_run_folder(comm, folder / name, RunKind::single); }, ExitCode::checkpoint, {folder.path().string(), "Hint"});
  BOOST_TEST(content_of(folder / "file") == "text");
  BOOST_TEST(names_in(folder / "other") == (std::set<std::string>{"thesis.tex"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
