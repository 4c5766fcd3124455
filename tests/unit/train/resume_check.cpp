// What a restart says of a deck, data or order of samples that are not the checkpoint's, and what it refuses.
#include "train/resume_check.hpp"

#include <boost/test/unit_test.hpp>

#include "base/error.hpp"

using namespace trireme;

namespace {

std::string text_of(const std::string& more = "", const std::string& act = "relu") {
  return "[data]\ntrain = a\nbatch = 10\n[model]\ninput = 4\nlayer = linear out=8\nlayer = " + act + "\nlayer = linear out=1\n[loss]\nkind = mse\n" + more;
}

const Fingerprint data{{"data_rows", 95}, {"data_files", 1}, {"data_digest", 7}, {"order_chunk", 0}, {"order_window", 0}};

SavedRun saved(const std::string& text = text_of(), const Fingerprint& fingerprint = data) { return {"c.h5", Deck(text, "old"), fingerprint}; }

Progress at(std::int64_t batch) { return {.step = 20 + batch, .epoch = 2, .batch = batch, .epoch_samples = 10 * batch, .epoch_steps = 10}; }

ResumeCheck check(const std::vector<std::string>& overrides, std::int64_t batch, const Fingerprint& now = data, std::int64_t epoch_steps = 10) {
  return ResumeCheck(saved(), Deck(text_of(), "new", overrides), now, at(batch), epoch_steps);
}

template <class F>
void refused(const F& action, ExitCode code, const std::vector<std::string>& words) {
  try {
    action();
    BOOST_ERROR("nothing was refused");
  } catch (const Error& error) {
    BOOST_TEST((error.code() == code));
    for (const auto& word : words) BOOST_TEST((std::string(error.what()).find(word) != std::string::npos), error.what() << " lacks " << word);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resume_check)

BOOST_AUTO_TEST_CASE(every_key_and_layer_is_named) {
  for (const KeySpec& key : deck_keys()) {
    const std::string value = key.type == KeySpec::Type::choice ? key.choices.back() : key.type == KeySpec::Type::boolean ? (key.fallback == "true" ? "false" : "true")
                              : key.type == KeySpec::Type::text ? "other"
                              : key.type == KeySpec::Type::shape ? "5"
                              : key.type == KeySpec::Type::list ? "0.5"
                              : key.type == KeySpec::Type::integer ? std::to_string(static_cast<std::int64_t>(std::min(key.high, std::max(key.low, 0.0) + 7)))
                                                                   : "0.25";
    const Deck before(text_of(), "a");
    std::optional<Deck> after;
    try {
      after.emplace(text_of(), "b", std::vector{key.name + "=" + value});
    } catch (const Error&) {  // out of this key's range
      after.emplace(text_of(), "b", std::vector{key.name + "=" + (key.high < 1e300 ? "1" : "3")});
    }
    const auto changes = changes_between(before, *after);
    BOOST_TEST_CONTEXT(key.name << " = " << after->text(key.name)) {
      BOOST_REQUIRE(changes.size() == 1u);
      BOOST_TEST(changes[0].key == key.name);
      BOOST_TEST(changes[0].after == after->text(key.name));
    }
  }
  const auto changes = changes_between(Deck(text_of(), "a"), Deck(text_of("", "tanh"), "b"));
  BOOST_REQUIRE(changes.size() == 1u);
  BOOST_TEST(changes[0].text() == "model.layer: layer 2, relu -> layer 2, tanh");
  BOOST_TEST(changes_between(Deck(text_of(), "a"), Deck(text_of("", "relu\nlayer = dropout p=0.5"), "b")).size() == 1u);
}

BOOST_AUTO_TEST_CASE(nothing_changed) {
  for (const std::int64_t batch : {0, 3}) {
    const ResumeCheck same = check({"checkpoint.resume_order=restart_epoch", "data.cache=0", "run.output=x", "data.train=moved/a"}, batch);
    BOOST_TEST(!same.restarts_epoch);
    BOOST_TEST(same.notes.empty());
    same.require_unchanged_end(saved());
  }
}

BOOST_AUTO_TEST_CASE(what_moves_the_order_within_an_epoch_is_refused) {
  for (const std::string item : {"run.seed=2", "run.stream=1", "data.shuffle=false", "data.chunk=4", "data.window=8", "data.batch=11", "train.accumulate=2"}) {
    refused([&] { check({item}, 3); }, ExitCode::checkpoint, {"c.h5", item.substr(0, item.find('=')), "--train.steps=30", "resume_order = restart_epoch"});
    const ResumeCheck anew = check({item, "checkpoint.resume_order=restart_epoch"}, 3);
    BOOST_TEST(anew.restarts_epoch);
    const ResumeCheck boundary = check({item}, 0);
    BOOST_TEST(!boundary.restarts_epoch);
    BOOST_TEST(boundary.changes.size() == 1u);
  }
  for (const auto& [key, value] : data) {
    Fingerprint other = data;
    other[key] = value + 3;
    refused([&] { check({}, 3, other); }, ExitCode::checkpoint, {"c.h5", "middle of epoch 3", "Hint"});
    BOOST_TEST(check({}, 0, other).notes.size() == 1u);
    refused([&] { check({}, 0, other).require_unchanged_end(saved()); }, ExitCode::checkpoint, {"finished", "train.epochs"});
  }
  refused([&] { check({}, 3, data, 9); }, ExitCode::checkpoint, {"epochs of 10 steps; this run has 9"});
  // In the order of the files a seed decides nothing of it.
  const SavedRun plain = saved(text_of("[run]\nseed = 1\n").replace(0, 6, "[data]\nshuffle = false"));
  const Deck now(text_of().replace(0, 6, "[data]\nshuffle = false"), "new", {"run.seed=2"});
  BOOST_TEST(!ResumeCheck(plain, now, data, at(3), 10).restarts_epoch);
}

BOOST_AUTO_TEST_CASE(another_meaning_needs_a_word) {
  for (const std::string item : {"loss.kind=mae", "data.scale=2", "data.mean=1", "data.std=2", "data.target=features", "optimizer.kind=lamb", "data.labels=/z"}) {
    const std::string key = item.substr(0, item.find('='));
    for (const std::int64_t batch : {0, 3}) {
      refused([&] { check({item}, batch); }, ExitCode::checkpoint, {key, "checkpoint.allow_changes = " + key});
      BOOST_TEST(check({item, "checkpoint.allow_changes=run.name, " + key}, batch).changes.size() == 2u);
    }
  }
  const Deck tanh(text_of("", "tanh"), "new"), allowed(text_of("", "tanh"), "new", {"checkpoint.allow_changes=model.layer"});
  refused([&] { ResumeCheck(saved(), tanh, data, at(0), 10); }, ExitCode::checkpoint, {"layer 2, relu -> layer 2, tanh"});
  BOOST_TEST(ResumeCheck(saved(), allowed, data, at(0), 10).changes.size() == 2u);
  refused([&] { check({"checkpoint.allow_changes=loss.knid"}, 0); }, ExitCode::usage, {"loss.knid"});
}

BOOST_AUTO_TEST_CASE(an_end_under_another_deck) {
  for (const std::string item : {"optimizer.lr=0.5", "data.test=b", "run.seed=2", "loss.label_smoothing=0.1", "data.lanes=2"})
    refused([&] { check({item}, 0).require_unchanged_end(saved()); }, ExitCode::checkpoint, {"finished", item.substr(0, item.find('='))});
  check({"train.epochs=1", "train.log_every=3", "parallel.tensor=2"}, 0).require_unchanged_end(saved());
}

BOOST_AUTO_TEST_CASE(checkpoints_of_earlier_versions) {
  const ResumeCheck old(saved(text_of(), {}), Deck(text_of(), "new"), data, at(3), 10);
  BOOST_REQUIRE(old.notes.size() == 1u);
  BOOST_TEST(old.notes[0].find("earlier version") != std::string::npos);
  const ResumeCheck unread({"c.h5", std::nullopt, data}, Deck(text_of(), "new"), data, at(3), 10);
  BOOST_TEST(unread.notes.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
