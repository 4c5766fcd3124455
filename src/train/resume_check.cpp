#include "train/resume_check.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "base/text.hpp"
#include "io/retry.hpp"
#include "optim/optimizer.hpp"

namespace trireme {

namespace {

constexpr const char* layer_key = "model.layer";

std::string shown(const std::string& value) { return value.empty() ? "(nothing)" : value; }

bool same_layer(const LayerSpec& a, const LayerSpec& b) { return a.kind == b.kind && a.name == b.name && a.from == b.from && a.options == b.options; }

/// Layers that differ, without the longest equal prefix and suffix, so that an inserted layer is a single change.
void compare_layers(const std::vector<LayerSpec>& before, const std::vector<LayerSpec>& after, std::vector<DeckChange>& changes) {
  std::size_t first = 0, end = 0;
  const std::size_t least = std::min(before.size(), after.size());
  while (first < least && same_layer(before[first], after[first])) ++first;
  while (end < least - first && same_layer(before[before.size() - 1 - end], after[after.size() - 1 - end])) ++end;
  const auto line = [](const std::vector<LayerSpec>& layers, std::size_t at, std::size_t last) {
    return at < last ? fmt::format("layer {}, {}", at + 1, layers[at].text) : std::string();
  };
  for (std::size_t at = first; at < std::max(before.size(), after.size()) - end; ++at)
    changes.push_back({layer_key, line(before, at, before.size() - end), line(after, at, after.size() - end)});
}

bool names(const std::string& list, const std::string& key) {
  const auto items = split(list, ',');
  return std::ranges::find(items, "all") != items.end() || std::ranges::find(items, key) != items.end();
}

void check_names(const Deck& deck) {
  for (const std::string& item : split(deck.text("checkpoint.allow_changes"), ',')) {
    const bool known = item.empty() || item == "all" || std::ranges::count(item, '.') == 2 || item == layer_key ||
                       std::ranges::find(deck_keys(), item, &KeySpec::name) != deck_keys().end();
    if (!known)
      throw usage_error("checkpoint.allow_changes: '{}' is not a key of a deck. Expected keys as section.key, {} for layers, or all", item, layer_key);
  }
}

/// 60 bits of a digest, which fit into an integer of a checkpoint.
std::int64_t positive(Sha256& sha) { return static_cast<std::int64_t>(std::stoull(sha.hex().substr(0, 15), nullptr, 16)); }

std::vector<std::string> texts(const std::vector<DeckChange>& changes, const std::function<bool(const DeckChange&)>& wanted) {
  std::vector<std::string> found;
  for (const DeckChange& change : changes)
    if (wanted(change)) found.push_back(change.text());
  return found;
}

/// The changes of [optimizer] that give it further state; all of them if none does so alone.
std::vector<DeckChange> state_changes(const Deck& before, const std::vector<DeckChange>& changes, const std::vector<std::string>& missing) {
  std::vector<DeckChange> all, found;
  for (const DeckChange& change : changes)
    if (change.key.starts_with("optimizer.")) all.push_back(change);
  for (const DeckChange& change : all) {
    try {
      const auto states = optimizer_states(Deck(before.resolved(), before.origin(), {change.key + "=" + change.after}));
      if (std::ranges::any_of(missing, [&](const std::string& name) { return std::ranges::find(states, name) != states.end(); })) found.push_back(change);
    } catch (const Error&) {  // not valid without the other changes
      found.push_back(change);
    }
  }
  return found.empty() ? all : found;
}

/// Throws if checkpoint.allow_changes does not name the changes. `what`: the missing state; `then`: its initial value.
void require_allowed(const SavedRun& saved, const Deck& deck, const std::vector<DeckChange>& changes, const std::string& what, const std::string& then) {
  std::vector<std::string> keys;
  for (const DeckChange& change : changes) keys.push_back(change.key);
  if (std::ranges::all_of(keys, [&](const std::string& key) { return names(deck.text("checkpoint.allow_changes"), key); })) return;
  throw checkpoint_error(
      "checkpoint '{}' has no {}, which this change needs: {}. Hint: continue with the earlier deck, set run.output to another folder to "
      "start over, or, if the change is intended, set checkpoint.allow_changes = {}; {}",
      saved.file, what, fmt::join(texts(changes, [](const DeckChange&) { return true; }), "; "), fmt::join(keys, ","), then);
}

}  // namespace

std::string DeckChange::text() const { return fmt::format("{}: {} -> {}", key, shown(before), shown(after)); }

std::vector<DeckChange> changes_between(const Deck& before, const Deck& after) {
  std::vector<DeckChange> changes;
  for (const KeySpec& key : deck_keys())
    if (before.text(key.name) != after.text(key.name)) changes.push_back({key.name, before.text(key.name), after.text(key.name)});
  compare_layers(before.layers(), after.layers(), changes);
  const auto compare_section = [&](const DeckSection* old, const DeckSection* now) {
    const DeckSection& any = now != nullptr ? *now : *old;
    const DeckSection absent(any.kind(), any.name());
    for (const auto& [key, value] : any.values()) {
      const std::string &was = (old != nullptr ? *old : absent).text(key), &is = (now != nullptr ? *now : absent).text(key);
      if (was != is) changes.push_back({any.full(key), was, is});
    }
  };
  for (const DeckSection& old : before.named_sections()) compare_section(&old, after.section(old.kind(), old.name()));
  for (const DeckSection& now : after.named_sections())
    if (before.section(now.kind(), now.name()) == nullptr) compare_section(nullptr, &now);
  return changes;
}

ChangeEffect effect_of(const std::string& key) {
  using enum ChangeEffect;
  static const std::map<std::string, ChangeEffect, std::less<>> exceptions{{"run.seed", order},
                                                                           {"run.stream", order},
                                                                           {"data.train", none},
                                                                           {"data.cache", none},
                                                                           {"data.test_batch", none},
                                                                           {"data.batch", order},
                                                                           {"data.shuffle", order},
                                                                           {"data.chunk", order},
                                                                           {"data.window", order},
                                                                           {"data.scale", meaning},
                                                                           {"data.mean", meaning},
                                                                           {"data.std", meaning},
                                                                           {"data.features", meaning},
                                                                           {"data.labels", meaning},
                                                                           {"data.target", meaning},
                                                                           {"data.axes", meaning},
                                                                           {"data.label_axes", meaning},
                                                                           {"data.netcdf", meaning},
                                                                           {"data.verify", none},
                                                                           {"data.allow_unwritten", none},
                                                                           {"data.allow_external", none},
                                                                           {"loss.label_smoothing", result},
                                                                           {"optimizer.kind", meaning},
                                                                           {"optimizer.shard", none},
                                                                           {"train.epochs", length},
                                                                           {"train.steps", length},
                                                                           {"train.accumulate", order},
                                                                           {"task.every", exchange},
                                                                           {"task.start", exchange},
                                                                           {"task.weights", exchange},
                                                                           {"task.held_out", exchange},
                                                                           {"train.ema", result},
                                                                           {"train.patience", length},
                                                                           {"train.target", length},
                                                                           {"data.validation_seed", meaning},
                                                                           {"train.precision", result}};
  if (const auto found = exceptions.find(key); found != exceptions.end()) return found->second;
  if (key.starts_with("model.weights")) return none;  // a run begins with them; afterwards its own checkpoints count
  const std::string section = key.substr(0, key.find('.'));
  if (section == "model" || section == "loss" || section == "array") return meaning;
  return section == "data" || section == "optimizer" || section == "schedule" || section == "numerics" ? result : none;
}

Fingerprint fingerprint_of(const DataSet& data, const BatchStream::Options& options) {
  Sha256 sha, moments, decoding, sources;
  for (const auto* given : {&data.names().feature_moments, &data.names().label_moments})
    for (const auto& numbers : {given->value_or(Moments{}).mean, given->value_or(Moments{}).deviation}) {
      const auto count = static_cast<std::int64_t>(numbers.size());
      moments.update(std::as_bytes(std::span(&count, 1)));
      moments.update(std::as_bytes(std::span(numbers)));
    }
  for (const ShardInfo& shard : data.shards()) {
    const std::string line =
        fmt::format("{}|{}|{}|{}|{}|{}|{}|{}\n", std::filesystem::path(shard.path).filename().string(), shard.rows, shard.sample.text(),
                    static_cast<int>(shard.feature_type), shard.has_labels, shard.label.text(), static_cast<int>(shard.label_type), shard.checksum);
    sha.update(std::as_bytes(std::span(line.data(), line.size())));
    decoding.update(std::as_bytes(std::span(&shard.decoding, 1)));
    sources.update(std::as_bytes(std::span(&shard.sources, 1)));
  }
  const auto order = BatchStream::shuffle_order(data, options);
  const bool plain = order.whole || options.order != BatchStream::Order::shuffled;
  return {{"data_rows", data.size()},
          {"data_files", static_cast<std::int64_t>(data.shards().size())},
          {"data_digest", positive(sha)},
          {"data_feature_type", static_cast<std::int64_t>(data.feature_type())},
          {"data_moments", positive(moments)},
          {"data_decoding", positive(decoding)},
          {"data_sources", positive(sources)},
          {"order_chunk", plain ? 0 : order.chunk},
          {"order_window", plain ? 0 : order.window}};
}

SavedRun saved_run(const Communicator& comm, const std::filesystem::path& file, IoThread* h5) {
  std::string deck, integers;
  comm.together([&] {
    if (comm.rank() != 0) return;
    const auto read = [&] {
      with_retries(usual_retries, [&] {
        const CheckpointReader reader(file);
        deck = reader.content().deck;
        integers = nlohmann::json(reader.content().integers).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      });
    };
    if (h5 == nullptr) return read();
    h5->run(read);
  });
  SavedRun saved{.file = file.string(), .deck = {}, .integers = {}};
  deck = comm.broadcast(deck);
  saved.integers = nlohmann::json::parse(comm.broadcast(integers)).get<std::map<std::string, std::int64_t>>();
  try {
    saved.deck.emplace(Deck::stored(deck, "deck inside " + saved.file));
  } catch (const Error&) {  // a key that this version does not know
  }
  return saved;
}

AbsentState absent_state(const SavedRun& saved, const Deck& deck) {
  AbsentState absent;
  if (!saved.deck) return absent;
  const auto changes = changes_between(*saved.deck, deck);
  const auto add = [&](const std::vector<DeckChange>& causes, const std::string& what, const std::string& then) {
    require_allowed(saved, deck, causes, what, then);
    absent.notes.push_back(fmt::format("checkpoint '{}' has no {}: {}", saved.file, what, then));
  };
  if (deck.real("train.ema") > 0 && saved.deck->real("train.ema") == 0) {
    absent.groups.insert("ema/");
    add({{"train.ema", saved.deck->text("train.ema"), deck.text("train.ema")}}, "moving average of the parameters",
        "it starts as the parameters of the checkpoint");
  }
  const auto before = optimizer_states(*saved.deck);
  std::vector<std::string> missing;
  for (const std::string& name : optimizer_states(deck))
    if (std::ranges::find(before, name) == before.end()) missing.push_back(name);
  if (missing.empty()) return absent;
  absent.of_optimizer = true;
  for (const std::string& name : missing) absent.groups.insert("optimizer/" + name + "/");
  add(state_changes(*saved.deck, changes, missing), fmt::format("optimizer state ({})", fmt::join(missing, ", ")),
      "it starts at 0, and bias correction counts steps from here");
  return absent;
}

void ResumeCheck::compare_data(const SavedRun& saved, const Fingerprint& now) {
  if (!saved.integers.contains("data_digest")) {
    notes.push_back(
        fmt::format("checkpoint '{}' of an earlier version has no fingerprint of its training data: changes of the data or of the order of "
                    "samples are not detected",
                    saved.file));
    return;
  }
  const auto compare = [&](const char* key, const char* what) {
    const auto found = saved.integers.find(key);
    if (found == saved.integers.end() || found->second == now.at(key)) return false;
    data_.push_back(fmt::format("{}: {} -> {}", what, found->second, now.at(key)));
    return true;
  };
  const bool rows = compare("data_rows", "rows of data.train"), files = compare("data_files", "files of data.train");
  if (const auto found = saved.integers.find("data_digest"); found->second != now.at("data_digest") && !rows && !files)
    data_.push_back("data.train has as many files and rows as before, but names, order, rows per file, shapes, types or checksums differ");
  const auto differs = [&](const char* key) {
    const auto found = saved.integers.find(key);
    return found != saved.integers.end() && now.contains(key) && found->second != now.at(key);
  };
  // Other files have other attributes and sources; their numbers and names were compared above.
  if (!rows && !files && differs("data_decoding"))
    data_.push_back(
        "attributes of data.train that say what stored numbers mean (scale_factor, add_offset, _FillValue, missing_value, valid_*, _Unsigned) "
        "differ");
  if (!rows && !files && differs("data_sources"))
    data_.push_back("the files that the virtual data sets or external links of data.train lead to, or their order, differ");
  compare("order_chunk", "rows per shuffled block (data.chunk in effect)");
  compare("order_window", "rows per window (data.window in effect)");
}

ResumeCheck::ResumeCheck(const SavedRun& saved, const Deck& deck, const Fingerprint& now, const Progress& progress, std::int64_t epoch_steps) {
  check_names(deck);
  if (saved.deck)
    changes = changes_between(*saved.deck, deck);
  else
    notes.push_back(fmt::format("this version cannot read the deck inside checkpoint '{}': changes of the deck since then are not detected", saved.file));
  compare_data(saved, now);

  const std::string& allowed = deck.text("checkpoint.allow_changes");
  const auto moments = saved.integers.find("data_moments");
  if (moments != saved.integers.end() && moments->second != now.at("data_moments") && !names(allowed, "data.train"))
    throw checkpoint_error(
        "checkpoint '{}' was trained on data that were standardized with other means and standard deviations than data.train, so its "
        "parameters do not fit these data. Hint: use the shards of the earlier training, set run.output to another folder to start over, "
        "or, if the change is intended, set checkpoint.allow_changes = data.train",
        saved.file);
  std::vector<std::string> keys;
  const auto refused = texts(changes, [&](const DeckChange& change) {
    const bool refuses = effect_of(change.key) == ChangeEffect::meaning && !names(allowed, change.key);
    if (refuses && std::ranges::find(keys, change.key) == keys.end()) keys.push_back(change.key);
    return refuses;
  });
  if (!refused.empty())
    throw checkpoint_error(
        "checkpoint '{}' was trained with another deck, and its parameters do not fit this one: {}. Hint: continue with the earlier deck, "
        "set run.output to another folder to start over, there with model.weights = FILE to begin with the parameters that fit, or, if the change is intended, "
        "set checkpoint.allow_changes = {}",
        saved.file, fmt::join(refused, "; "), fmt::join(keys, ","));

  // Without shuffling, the seed and the chunks have no effect.
  const bool shuffled = deck.boolean("data.shuffle") || !saved.deck || saved.deck->boolean("data.shuffle");
  moved_ = texts(changes, [&](const DeckChange& change) {
    const bool only_shuffled = change.key == "run.seed" || change.key == "run.stream" || change.key == "data.chunk" || change.key == "data.window";
    return effect_of(change.key) == ChangeEffect::order && (shuffled || !only_shuffled);
  });
  moved_.insert(moved_.end(), data_.begin(), data_.end());
  if (progress.epoch_steps != epoch_steps && moved_.empty()) moved_.push_back("samples, data.batch or train.accumulate");
  if (progress.epoch_steps != epoch_steps)
    moved_.push_back(fmt::format("an epoch has {} steps in the checkpoint and {} in this run", progress.epoch_steps, epoch_steps));
  for (const auto& text : data_) notes.push_back("changed since the checkpoint: " + text);
  if (moved_.empty() || progress.batch == 0) return;

  if (deck.text("checkpoint.resume_order") == "restart_epoch") {
    restarts_epoch = true;
    notes.push_back(fmt::format("epoch {} restarts in the new order (checkpoint.resume_order = restart_epoch): samples already seen in it are seen again",
                                progress.epoch + 1));
    return;
  }
  const std::int64_t accumulate = saved.deck ? saved.deck->integer("train.accumulate") : 1;
  throw checkpoint_error(
      "checkpoint '{}' is in the middle of epoch {} (after {} batch(es) of it). These changes alter the data or the order of the samples, so "
      "this epoch would see some samples twice, others never, or other values: {}. Hint: finish the epoch first with the earlier deck and data "
      "(--train.steps={}; cosine and linear schedules then end at that step, too), restart it with checkpoint.resume_order = "
      "restart_epoch, or set run.output to another folder to start over",
      saved.file, progress.epoch + 1, progress.batch, fmt::join(moved_, "; "), progress.step + progress.epoch_steps - progress.batch / accumulate);
}

void ResumeCheck::require_unchanged_end(const SavedRun& saved, bool task) const {
  auto others = texts(changes, [&](const DeckChange& change) {
    const ChangeEffect effect = effect_of(change.key);
    return effect != ChangeEffect::none && effect != ChangeEffect::length && (task || effect != ChangeEffect::exchange);
  });
  others.insert(others.end(), data_.begin(), data_.end());
  if (others.empty()) return;
  throw checkpoint_error(
      "the run is finished: checkpoint '{}' is at the deck's last step, so these changes would have no effect: {}. Hint: raise "
      "train.epochs (or train.steps) to continue training, set run.output to another folder to start over, or evaluate the finished model "
      "with trireme evaluate",
      saved.file, fmt::join(others, "; "));
}

}  // namespace trireme
