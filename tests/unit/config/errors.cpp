#include <fstream>
#include <map>
#include <set>

#include "comm/communicator.hpp"
#include "support.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using test::check_refused;
using test::deck_text;

BOOST_AUTO_TEST_SUITE(deck_errors)

BOOST_AUTO_TEST_CASE(unknown_sections_and_keys_name_the_nearest) {
  check_refused(deck_text("[optimzer]\nlr = 1\n"), {"deck 'a.ini', line 6", "[optimzer]", "did you mean [optimizer]?", "checkpoint"});
  check_refused(deck_text("[modle]\n"), {"line 6", "did you mean [model]?"});  // also with nothing below it
  check_refused(deck_text("[]\n"), {"line 6", "there is no section []"});
  check_refused(deck_text("[data]\n\nbach = 1\n"), {"line 8", "[data] has no key 'bach'", "did you mean 'data.batch'?", "test_batch"});
  check_refused(deck_text("[train]\nnum_epochs = 1\n"), {"[train] has no key 'num_epochs'", "did you mean 'train.epochs'?"});
  check_refused(deck_text("[optimizer]\nlearning_rate = 1\n"), {"has no key 'learning_rate'", "did you mean 'optimizer.lr'?"});
  check_refused(deck_text("[loss]\nignore_index = 1\n"), {"has no key 'ignore_index'", "did you mean 'loss.ignore'?"});
  check_refused(deck_text("[train]\nlr = 1\n"), {"[train] has no key 'lr'", "did you mean 'optimizer.lr'?"});
  check_refused(deck_text("[train]\nlayer = relu\n"), {"[train] has no key 'layer'", "did you mean 'model.layer'?"});
  check_refused(deck_text("layers = relu\n"), {"[model] has no key 'layers'", "did you mean 'model.layer'?"});
  check_refused(deck_text("[train]\ndata.batch = 3\n"), {"did you mean 'data.batch'?"});
  check_refused("batch = 3\n" + deck_text(), {"line 1", "'batch' has no section", "did you mean 'data.batch'?"});
  check_refused("lr = 3\n" + deck_text(), {"'lr' has no section", "did you mean 'optimizer.lr'?"});
  check_refused(deck_text("[run]\nnme = 3\n"), {"did you mean 'run.name'?", "The keys of [run] are name, seed, stream, output"});
  check_refused(deck_text("[data]\n= 3\n"), {"line 7", "[data] has no key ''"});
}

// Whatever single letter a key loses, the key is found again, unless what is left is a key, or could be left of two.
BOOST_AUTO_TEST_CASE(one_lost_letter_is_found_again) {
  std::map<std::string, std::set<std::string>> origins;
  for (const KeySpec& key : deck_keys())
    for (std::size_t i = key.name.find('.') + 1; i < key.name.size(); ++i) {
      std::string typo = key.name;
      origins[typo.erase(i, 1)].insert(key.name);
    }
  for (const KeySpec& key : deck_keys()) origins.erase(key.name);
  origins.erase("data.anes");    // one letter from data.axes, too
  origins.erase("loss.target");  // the name of data.target
  for (const auto& [typo, names] : origins)
    if (names.size() == 1) check_refused(deck_text(), {fmt::format("did you mean '{}'?", *names.begin())}, {typo + "=1"});
}

BOOST_AUTO_TEST_CASE(wrong_types) {
  for (const char* value : {"", "x", "3.0", "1e3", "3 4", "0x10", "99999999999999999999", "1/1"})
    check_refused(deck_text("[data]\nbatch = " + std::string(value) + "\n"), {"line 7", "data.batch", "is not an integer"});
  for (const char* value : {"", "x", "1/0", "1/", "/2", "1/2/3", "nan", "inf", "1e999", "1,5"})
    check_refused(deck_text("[data]\nscale = " + std::string(value) + "\n"), {"line 7", "data.scale", "is not a real number", "1/255"});
  for (const char* value : {"", "ture", "2", "True"})
    check_refused(deck_text("[data]\nshuffle = " + std::string(value) + "\n"), {"data.shuffle", "neither true nor false"});
  for (const char* value : {"0.5,,0.5", "0.5,", "a", "0.5 0.5"})
    check_refused(deck_text("[data]\nmean = " + std::string(value) + "\n"), {"data.mean (item ", "is not a real number"});
  check_refused(deck_text(), {"command line", "model.input = '28y28' is not a shape"}, {"model.input=28y28"});
  check_refused(deck_text(), {"run.name is empty"}, {"run.name="});
}

// Every number of the table refuses what lies beyond its ends, and an end that is excluded, and says the range.
BOOST_AUTO_TEST_CASE(ranges) {
  int tried = 0;
  const auto refuse = [&](const KeySpec& key, double value) {
    // Beyond 2^53 a double cannot hold the number behind an end.
    const auto whole = static_cast<std::int64_t>(value);
    const std::string text = key.type == KeySpec::Type::integer ? std::to_string(value == key.high ? whole + 1 : whole) : fmt::format("{}", value);
    check_refused(deck_text(), {"command line", key.name, "= " + text, "out of range", "Expected"}, {key.name + "=" + text});
    ++tried;
  };
  for (const KeySpec& key : deck_keys()) {
    if (key.low != -1e300) refuse(key, key.low - 1);
    if (key.high != 1e300) refuse(key, key.high + 1);
    if (key.open_low) refuse(key, key.low);
    if (key.open_high) refuse(key, key.high);
  }
  BOOST_TEST(tried > 30);
  check_refused(deck_text(), {"integer >= 1"}, {"data.batch=0"});
  check_refused(deck_text(), {"real >= 0 and < 1"}, {"optimizer.beta1=1"});
  check_refused(deck_text(), {"data.std (item 2) = 0", "> 0"}, {"data.std=1,0"});
}

BOOST_AUTO_TEST_CASE(choices_are_listed) {
  check_refused(deck_text("[optimizer]\nkind = adma\n"), {"line 7", "optimizer.kind = 'adma'", "one of adam, adamw", "did you mean 'adam'?"});
  check_refused(deck_text(), {"fp32, tf32, bf16, fp64"}, {"train.precision="});
}

BOOST_AUTO_TEST_CASE(missing_things) {
  check_refused("[model]\nlayer = relu\n", {"deck 'a.ini'", "model.input is missing", "1x28x28"});
  check_refused("[model]\ninput = 3\n", {"deck 'a.ini'", "has no layers", "layer = linear"});
  for (const char* text : {"", "\n\n", "# nothing\n", "[model]\n", "\xEF\xBB\xBF"}) check_refused(text, {"deck 'a.ini' is empty", "inputs/"});
}

BOOST_AUTO_TEST_CASE(malformed_lines) {
  check_refused(deck_text("[data]\nbatch = 3\nbatch 4\n"), {"deck 'a.ini', line 8", "'batch 4' has no '='"});
  check_refused(deck_text("[data\n"), {"line 6", "'[data' has no '='"});
  check_refused(deck_text("[data]\nbatch = 3\n[run]\n[data]\nbatch = 3\n"), {"line 10", "data.batch", "given twice", "line 7"});
  check_refused(deck_text("[data]\ntrain = a\\nb\n"), {"line 7", "unknown escape '\\n'", "\\#"});
  check_refused(deck_text("[data]\ntrain = a \\\n"), {"line 7", "unknown escape '\\'"});
  check_refused(std::string("\x89HDF\r\n\x1a\n", 8), {"line 2", "control character 0x1a", "not a checkpoint"});
  check_refused(deck_text() + std::string(1, '\0'), {"line 6", "control character 0x00"});
  BOOST_CHECK_NO_THROW(Deck(deck_text("[data]\n# an \\escape in a comment, and \\\n"), "a.ini"));
}

BOOST_AUTO_TEST_CASE(overrides) {
  check_refused(deck_text(), {"command line", "model.layer=relu", "not allowed", "ordered list"}, {"model.layer=relu"});
  check_refused(deck_text(), {"command line", "'data.batch' has no '='"}, {"data.batch"});
  check_refused(deck_text(), {"command line", "'batch' has no section", "did you mean 'data.batch'?"}, {"batch=3"});
  check_refused(deck_text(), {"command line", "did you mean [data]?"}, {"dat.batch=3"});
  check_refused(deck_text(), {"command line", "control character 0x0a"}, {"run.name=a\nb"});
}

BOOST_AUTO_TEST_CASE(files) {
  const test::TemporaryDirectory folder;
  const std::string missing = (folder / "missing.ini").string();
  check_refused([&] { Deck::read(missing); }, {missing, "cannot be read", "No such file", "Hint"});
  check_refused([&] { Deck::read(folder.path()); }, {folder.path().string(), "is a directory"});
  const std::filesystem::path file = folder / "a.ini";
  std::ofstream(file).close();
  check_refused([&] { Deck::read(file); }, {file.string(), "is empty"});
  std::ofstream(file) << deck_text("[data]\nbatch = 7\n");
  const Deck deck = Deck::read(file, {"run.seed=9"});
  BOOST_TEST(deck.origin() == file.string());
  BOOST_TEST(deck.integer("data.batch") == 7);
  BOOST_TEST(deck.integer("run.seed") == 9);
}

// Asking for what the table does not hold, or as another type, is a fault of ours and not of the user's.
BOOST_AUTO_TEST_CASE(faults_of_ours) {
  const Deck deck(deck_text(), "a.ini");
  const auto is_internal = [](const Error& error) { return error.code() == ExitCode::internal; };
  BOOST_CHECK_EXCEPTION(deck.integer("data.bach"), Error, is_internal);
  BOOST_CHECK_EXCEPTION(deck.text("model.layer"), Error, is_internal);
  BOOST_CHECK_EXCEPTION(deck.given("batch"), Error, is_internal);
  BOOST_CHECK_EXCEPTION(deck.integer("data.scale"), Error, is_internal);
  BOOST_CHECK_EXCEPTION(deck.real("data.batch"), Error, is_internal);
  BOOST_CHECK_EXCEPTION(deck.boolean("data.batch"), Error, is_internal);
  BOOST_CHECK_EXCEPTION(deck.reals("data.scale"), Error, is_internal);
  BOOST_CHECK_EXCEPTION(deck.items("data.train"), Error, is_internal);
}

// A user's deck learns the new name; what a checkpoint holds is taken by it.
BOOST_AUTO_TEST_CASE(keys_that_were_renamed) {
  const std::string section = "data", before = "lanes";
  check_refused(deck_text(), {section + "." + before, "data.virtual_ranks"}, {section + "." + before + "=4"});
  const Deck deck(deck_text("[data]\nvirtual_ranks = 4\n"), "a.ini");
  std::string old = deck.resolved();
  old.replace(old.find("virtual_ranks ="), std::string("virtual_ranks").size(), before);
  BOOST_TEST(Deck::stored(old, "old").integer("data.virtual_ranks") == 4);
  BOOST_TEST(Deck::stored(old, "old").resolved() == deck.resolved());
}

BOOST_AUTO_TEST_SUITE_END()
