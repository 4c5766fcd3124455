// Reports of a restart if the deck, the data or the order of samples differ from those of the checkpoint, and the changes that it refuses.
#include "train/resume_check.hpp"

#include <boost/test/unit_test.hpp>

#include "base/error.hpp"

using namespace trireme;

namespace {

std::string text_of(const std::string& more = "", const std::string& act = "relu") {
  return "[data]\ntrain = a\nbatch = 10\n[model]\ninput = 4\nlayer = linear out=8\nlayer = " + act + "\nlayer = linear out=1\n[loss]\nkind = mse\n" + more;
}

const Fingerprint data{{"data_rows", 95},   {"data_files", 1},  {"data_digest", 7}, {"data_decoding", 8},
                       {"data_sources", 9}, {"order_chunk", 0}, {"order_window", 0}};

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
    const std::string now = Deck(text_of(), "a").text(key.name);
    const std::string value = key.type == KeySpec::Type::choice    ? key.choices[key.choices.back() == now ? 0 : key.choices.size() - 1]
                              : key.type == KeySpec::Type::boolean ? (key.fallback == "true" ? "false" : "true")
                              : key.type == KeySpec::Type::text    ? "other"
                              : key.type == KeySpec::Type::shape   ? "5"
                              : key.type == KeySpec::Type::list    ? "0.5"
                              : key.type == KeySpec::Type::integer ? std::to_string(static_cast<std::int64_t>(std::min(key.high, std::max(key.low, 0.0) + 7)))
                                                                   : "0.25";
    // A key that excludes others' defaults.
    const std::vector<std::string> with = key.name == "data.mixup" ? std::vector<std::string>{"data.virtual_ranks=4"} : std::vector<std::string>{};
    const auto changed = [&](const std::string& to) {
      std::vector<std::string> words = with;
      words.push_back(key.name + "=" + to);
      return words;
    };
    const Deck before(text_of(), "a", with);
    std::optional<Deck> after;
    try {
      after.emplace(text_of(), "b", changed(value));
    } catch (const Error&) {  // out of this key's range
      after.emplace(text_of(), "b", changed(key.high < 1e300 ? "1" : "3"));
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
  refused([&] { check({}, 3, data, 9); }, ExitCode::checkpoint, {"an epoch has 10 steps in the checkpoint and 9 in this run"});
  // In file order the seed has no effect.
  const SavedRun plain = saved(text_of("[run]\nseed = 1\n").replace(0, 6, "[data]\nshuffle = false"));
  const Deck now(text_of().replace(0, 6, "[data]\nshuffle = false"), "new", {"run.seed=2"});
  BOOST_TEST(!ResumeCheck(plain, now, data, at(3), 10).restarts_epoch);
}

BOOST_AUTO_TEST_CASE(other_attributes_or_sources_are_said) {
  for (const auto& [key, words] : {std::pair("data_decoding", "scale_factor"), std::pair("data_sources", "virtual data sets")}) {
    Fingerprint other = data, older = data;
    other[key] += 1;
    older.erase(key);
    refused([&] { check({}, 3, other); }, ExitCode::checkpoint, {words});
    BOOST_TEST(check({}, 0, other).notes.front().find(words) != std::string::npos);
    // Checkpoints of earlier versions do not have it.
    BOOST_TEST(ResumeCheck(saved(text_of(), older), Deck(text_of(), "new"), data, at(3), 10).notes.empty());
  }
}

BOOST_AUTO_TEST_CASE(another_meaning_needs_a_word) {
  for (const std::string item :
       {"loss.kind=mae", "data.scale=2", "data.mean=1", "data.std=2", "data.target=features", "optimizer.kind=lamb", "data.labels=/z"}) {
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
  for (const std::string item : {"optimizer.lr=0.5", "data.test=b", "run.seed=2", "loss.label_smoothing=0.1", "data.virtual_ranks=2"})
    refused([&] { check({item}, 0).require_unchanged_end(saved()); }, ExitCode::checkpoint, {"finished", item.substr(0, item.find('='))});
  check({"train.epochs=1", "train.log_every=3", "parallel.tensor=2"}, 0).require_unchanged_end(saved());
  for (const std::string item : {"task.every=4", "task.start=2", "task.weights=1,2", "task.held_out=h"}) {
    check({item}, 0).require_unchanged_end(saved(), false);
    refused([&] { check({item}, 0).require_unchanged_end(saved(), true); }, ExitCode::checkpoint, {"finished", item.substr(0, item.find('='))});
  }
}

BOOST_AUTO_TEST_CASE(state_that_a_change_switches_on) {
  const auto absent = [](const std::vector<std::string>& before, std::vector<std::string> after, const std::string& allowed) {
    after.insert(after.end(), before.begin(), before.end());
    after.push_back("checkpoint.allow_changes=" + allowed);
    return absent_state({"c.h5", Deck(text_of(), "old", before), data}, Deck(text_of(), "new", after));
  };
  struct Case {
    std::vector<std::string> before, after;
    std::string keys;
    std::set<std::string> groups;
  };
  for (const Case& one :
       std::vector<Case>{{{}, {"optimizer.momentum=0.9"}, "optimizer.momentum", {"optimizer/momentum/"}},
                         {{"optimizer.kind=rmsprop"}, {"optimizer.centered=true"}, "optimizer.centered", {"optimizer/gradient_average/"}},
                         {{}, {"optimizer.kind=adam", "optimizer.beta1=0.8"}, "optimizer.kind", {"optimizer/first_moment/", "optimizer/second_moment/"}},
                         {{}, {"train.ema=0.9"}, "train.ema", {"ema/"}}}) {
    BOOST_TEST_CONTEXT(one.keys) {
      refused([&] { absent(one.before, one.after, ""); }, ExitCode::checkpoint, {"c.h5", one.keys + ": ", "checkpoint.allow_changes = " + one.keys, "Hint"});
      refused([&] { absent(one.before, one.after, "optimizer.lr"); }, ExitCode::checkpoint, {one.keys});
      for (const std::string& allowed : {one.keys, std::string("all")}) {
        const AbsentState found = absent(one.before, one.after, allowed);
        BOOST_TEST((found.groups == one.groups));
        BOOST_TEST(found.of_optimizer == (one.keys != "train.ema"));
        BOOST_TEST(found.notes.size() == 1u);
      }
    }
  }
  // Less state, or the same state: nothing is absent.
  for (const auto& [before, after] : std::vector<std::pair<std::string, std::string>>{
           {"optimizer.momentum=0.9", "optimizer.momentum=0"}, {"train.ema=0.9", "train.ema=0"}, {"optimizer.kind=adam", "optimizer.kind=lamb"}})
    BOOST_TEST(absent_state({"c.h5", Deck(text_of(), "old", {before}), data}, Deck(text_of(), "new", {after})).groups.empty());
  BOOST_TEST(absent_state({"c.h5", std::nullopt, data}, Deck(text_of(), "new", {"train.ema=0.9"})).groups.empty());
}

BOOST_AUTO_TEST_CASE(checkpoints_of_earlier_versions) {
  const ResumeCheck old(saved(text_of(), {}), Deck(text_of(), "new"), data, at(3), 10);
  BOOST_REQUIRE(old.notes.size() == 1u);
  BOOST_TEST(old.notes[0].find("earlier version") != std::string::npos);
  const ResumeCheck unread({"c.h5", std::nullopt, data}, Deck(text_of(), "new"), data, at(3), 10);
  BOOST_TEST(unread.notes.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
