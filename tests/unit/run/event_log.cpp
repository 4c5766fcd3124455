// Lines that are whole or not there, whatever the file holds before.
#include "run/event_log.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sstream>

#include "support/temporary_directory.hpp"

using trireme::EventLog;

namespace {
std::string content(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}
}  // namespace

BOOST_AUTO_TEST_CASE(lines_are_appended) {
  const trireme::test::TemporaryDirectory folder;
  const auto file = folder / "metrics.jsonl";
  EventLog log;
  log.append("nowhere");
  BOOST_REQUIRE(log.open(file));
  log.append("one");
  log.append("two");
  log.close();
  std::ofstream(file, std::ios::app) << "half";
  BOOST_REQUIRE(log.open(file));
  log.append("three");
  BOOST_TEST(content(file) == "one\ntwo\nhalf\nthree\n");
  BOOST_TEST(!log.open(folder / "no" / "metrics.jsonl"));
}
