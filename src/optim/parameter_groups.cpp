#include "optim/parameter_groups.hpp"

#include <fmt/ranges.h>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/key_spec.hpp"

namespace trireme {

namespace {

const bool keys_are_known = add_deck_keys(
    {key("optimizer.freeze", KeySpec::Type::text, "",
         "Parameters that are not trained: names, their first parts (conv1), or patterns with *, separated by commas. They get no update and no weight decay, "
         "and do not count in optimizer.clip_norm. batch_norm still normalizes with the batch and updates its running statistics, as PyTorch's modules with "
         "requires_grad = False. Empty: all are trained."),
     key("optimizer.groups", KeySpec::Type::text, "",
         "Parameter groups, separated by semicolons: PATTERN, PATTERN lr=0.001 weight_decay=0. Patterns are those of optimizer.freeze. Keys that a group does "
         "not set are those of [optimizer]; schedules multiply the learning rate of each group alike. The first group that matches counts. Example, no decay "
         "of biases and norms: *.bias, norm* weight_decay=0. Empty: one group.")});

constexpr const char* groups_key = "optimizer.groups";

/// "PATTERN, PATTERN lr=0.1 weight_decay=0"
ParameterGroup parse_group(const std::string& text) {
  ParameterGroup group{.text = text, .lr = {}, .weight_decay = {}};
  std::string patterns;
  for (const std::string& word : words(text)) {
    const auto equals = word.find('=');
    if (equals == word.npos) {
      if (group.lr || group.weight_decay) throw usage_error("{}: '{}' has the pattern '{}' behind a setting. Expected patterns first", groups_key, text, word);
      patterns += (patterns.empty() || patterns.ends_with(',') ? "" : ",") + word;
      continue;
    }
    const std::string name = word.substr(0, equals), what = fmt::format("{}: {}", groups_key, name);
    std::optional<double>* const setting = name == "lr" ? &group.lr : name == "weight_decay" ? &group.weight_decay : nullptr;
    if (setting == nullptr) {
      const std::vector<std::string> settings{"lr", "weight_decay"};
      throw usage_error("{}: '{}' in '{}' is no setting of a group. Hint: {}a group sets lr, weight_decay, or both", groups_key, name, text,
                        did_you_mean(name, settings));
    }
    if (setting->has_value()) throw usage_error("{}: '{}' sets {} twice. Hint: keep one", groups_key, text, name);
    *setting = parse_real(word.substr(equals + 1), what);
    if (!(**setting >= 0)) throw usage_error("{} = {} is out of range. Expected a real, at least 0", what, word.substr(equals + 1));
  }
  if (patterns.ends_with(',')) patterns.pop_back();
  group.match = NamePattern::parse_list(patterns, groups_key);
  if (group.match.empty())
    throw usage_error("{}: '{}' has no pattern. Expected PATTERN lr=... weight_decay=..., as in *.bias weight_decay=0", groups_key, text);
  if (!group.lr && !group.weight_decay) throw usage_error("{}: '{}' sets nothing. Expected lr=... or weight_decay=... behind the patterns", groups_key, text);
  return group;
}

std::string of_text(std::int64_t arrays, std::int64_t numbers) { return fmt::format("{} arrays, {} numbers", arrays, numbers); }

}  // namespace

ParameterGroups::ParameterGroups(const Deck& deck, const std::vector<std::string>& names, const std::vector<Shape>& shapes)
    : freeze_(NamePattern::parse_list(deck.text("optimizer.freeze"), "optimizer.freeze")) {
  groups_.push_back({.text = "", .lr = {}, .weight_decay = {}});
  for (const std::string& text : split(deck.text(groups_key), ';'))
    if (!text.empty()) groups_.push_back(parse_group(text));
  for (const NamePattern& pattern : freeze_) require_match(pattern, names, "optimizer.freeze", "the network");
  const double base = deck.real("optimizer.lr");
  for (ParameterGroup& group : groups_) {
    for (const NamePattern& pattern : group.match) require_match(pattern, names, groups_key, "the network");
    if (!group.lr) continue;
    if (base == 0 && *group.lr != 0)
      throw usage_error("{}: '{}' has a learning rate, but optimizer.lr = 0. Hint: set optimizer.lr, and name in optimizer.freeze what is not trained",
                        groups_key, group.text);
    group.lr_factor = base == 0 ? 1 : *group.lr / base;
  }
  for (std::size_t p = 0; p < names.size(); ++p) {
    const int number = group_of(names[p]);
    std::int64_t& arrays = number == frozen ? frozen_arrays_ : groups_[static_cast<std::size_t>(number)].arrays;
    std::int64_t& numbers = number == frozen ? frozen_numbers_ : groups_[static_cast<std::size_t>(number)].numbers;
    ++arrays;
    numbers += shapes[p].size();
  }
  for (std::size_t g = 1; g < groups_.size(); ++g)
    if (groups_[g].arrays == 0)
      throw usage_error("{}: all that '{}' matches is frozen or belongs to an earlier group. Hint: put the narrower patterns first", groups_key,
                        groups_[g].text);
  if (!names.empty() && frozen_arrays_ == std::ssize(names))
    throw usage_error("optimizer.freeze = {} freezes all {} parameters, so that nothing would be trained. Hint: leave out the layers that are to learn",
                      deck.text("optimizer.freeze"), names.size());
}

int ParameterGroups::group_of(const std::string& name) const {
  if (matches_any(freeze_, name)) return frozen;
  for (std::size_t g = 1; g < groups_.size(); ++g)
    if (matches_any(groups_[g].match, name)) return static_cast<int>(g);
  return 0;
}

std::vector<std::string> ParameterGroups::lines() const {
  std::vector<std::string> lines;
  if (trivial()) return lines;
  if (any_frozen()) lines.push_back(fmt::format("frozen: {}", of_text(frozen_arrays_, frozen_numbers_)));
  for (std::size_t g = 1; g < groups_.size(); ++g)
    lines.push_back(fmt::format("group '{}': {}", groups_[g].text, of_text(groups_[g].arrays, groups_[g].numbers)));
  lines.push_back(fmt::format("other trained parameters: {}", of_text(groups_[0].arrays, groups_[0].numbers)));
  return lines;
}

}  // namespace trireme
