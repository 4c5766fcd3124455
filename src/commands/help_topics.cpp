#include "commands/help_topics.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "base/error.hpp"
#include "base/registry.hpp"
#include "base/text.hpp"
#include "config/deck.hpp"
#include "io/importers/importer.hpp"
#include "kokkos_kernels/gemm.hpp"
#include "layers/registry.hpp"
#include "losses/loss.hpp"
#include "metrics/metric.hpp"
#include "optim/optimizer_kind.hpp"
#include "optim/schedule.hpp"

namespace trireme {

namespace {

/// The kinds of a registry, as a section of the reference.
struct Family {
  std::string title, key;  // "Losses", "loss.kind"
  std::vector<std::pair<std::string, std::string>> entries;
};

template <class Kind>
Family family(const char* title, const char* key, const std::vector<Kind>& kinds) {
  Family all{title, key, {}};
  for (const Kind& kind : kinds) all.entries.emplace_back(kind.name, kind.help);
  return all;
}

std::vector<Family> families() {
  return {family("Losses", "loss.kind", loss_kinds()), family("Optimizers", "optimizer.kind", optimizer_kinds()),
          family("Schedules", "schedule.kind", schedule_kinds()), family("Metrics", "", metric_kinds())};
}

std::string key_text(const KeySpec& key) {
  std::string text = key.name + "\n  " + key.help + "\n";
  if (!key.choices.empty()) text += fmt::format("  One of {}.\n", fmt::join(key.choices, ", "));
  return text + (key.required ? "  Required.\n" : fmt::format("  Default: {}.\n", key.fallback.empty() ? "empty" : key.fallback));
}

std::string layer_text(const LayerKind& kind) {
  std::string text = fmt::format("layer = {}\n  {}\n", kind.name, kind.help);
  for (const OptionSpec& option : kind.options)
    text += fmt::format("  {:<12} {} ({})\n", option.name, option.help, option.fallback.empty() ? "required" : "default " + option.fallback);
  return text;
}

}  // namespace

std::string whole_deck_reference() {
  std::string text = "# The deck\n\n" + deck_reference() + "\n" + layer_reference();
  for (const Family& one : families()) {
    text += fmt::format("\n## {}\n\n{}| name | meaning |\n| --- | --- |\n", one.title,
                        one.key.empty() ? "What an evaluation reports.\n\n" : fmt::format("Values of `{}`.\n\n", one.key));
    for (const auto& [name, help] : one.entries) text += fmt::format("| `{}` | {} |\n", name, help);
  }
  return text;
}

/// Keys of named sections such as [array NAME], from the deck reference: by section ("array", "[array NAME]"), or by key ("array.window", "window").
std::string help_of_named_sections(const std::string& topic) {
  std::string text, section;
  std::istringstream page(deck_reference());
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) section = line.ends_with(" NAME]") ? line.substr(4, line.size() - 10) : "";
    if (section.empty() || line.starts_with("| key |") || line.starts_with("| --- ")) continue;
    const bool whole = topic == section || topic == "[" + section + "]" || topic == "[" + section + " NAME]";
    if (line.starts_with("| `")) {
      const auto end = line.find('`', 3);
      const std::string key = line.substr(3, end - 3);
      if (!whole && topic != key && topic != section + "." + key) continue;
      std::vector<std::string> cells = split(std::string_view(line).substr(1), '|');
      text += fmt::format("[{} NAME] {}\n  {}\n  value: {}; default: {}\n", section, key, cells[3], cells[1], cells[2]);
    } else if (whole && !line.empty() && !line.starts_with("## ")) {
      text += line + "\n";
    }
  }
  return text;
}

std::string help_of_topic(const std::string& topic, const std::vector<std::string>& commands) {
  if (topic == "deck") return whole_deck_reference();
  if (topic == "names") return fmt::format("{}\n", fmt::join(commands, "\n"));  // of share/trireme.bash
  if (topic == "keys") {
    std::string keys;
    for (const KeySpec& key : deck_keys()) keys += key.name + "\n";
    return keys;
  }
  std::vector<std::string> known = commands;
  std::string text;
  const std::string section = topic.starts_with('[') && topic.ends_with(']') ? topic.substr(1, topic.size() - 2) : topic;
  for (const KeySpec& key : deck_keys()) {
    const auto dot = key.name.find('.');
    known.push_back(key.name);
    if (topic == key.name || topic == key.name.substr(dot + 1) || section == key.name.substr(0, dot)) text += key_text(key);
  }
  for (const LayerKind& kind : layer_kinds()) {
    known.push_back(kind.name);
    if (topic == kind.name || topic == "model" || topic == "model.layer") text += layer_text(kind);
  }
  for (const Family& one : families())
    for (const auto& [name, help] : one.entries) {
      known.push_back(name);
      if (topic == name) text += fmt::format("{}{}\n  {}\n", one.key.empty() ? "metric " : one.key + " = ", name, help);
    }
  for (const ImporterKind& kind : importer_kinds())
    if (topic == kind.name) text += fmt::format("trireme shard {}\n  {}; trireme shard {} --help explains its options\n", kind.name, kind.help, kind.name);
  text += help_of_named_sections(topic);
  if (text.empty())
    throw usage_error(
        "there is no help on '{}'. Hint: {}Topics are deck, commands, deck keys such as data.batch, sections such as data, layers, losses and optimizers",
        topic, did_you_mean(topic, known));
  return text;
}

std::string version_text() { return fmt::format("trireme {}\nhost contractions: {}\n", TRIREME_VERSION, gemm_provider()); }

}  // namespace trireme
