#include "train/arrays.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "losses/loss_terms.hpp"

namespace trireme {

namespace {

struct ShortForm {
  const char *name, *key, *axes_key;  // "features", "data.features", "data.axes"
  const char* usual;                  // default of the key
};
constexpr ShortForm short_forms[] = {{"features", "data.features", "data.axes", "/x"}, {"labels", "data.labels", "data.label_axes", "/y"}};

/// Whether the short form says more than one dataset in the usual order of axes.
bool says_more(const Deck& deck, const ShortForm& form) {
  if (deck.text(form.key).find_first_of(",[@*") != std::string::npos) return true;
  const ArrayAxes axes = ArrayAxes::parse(deck.text(form.axes_key), form.axes_key);
  return axes.has(ArrayAxes::Axis::time) || (axes.has(ArrayAxes::Axis::sample) && axes.list().front() != ArrayAxes::Axis::sample);
}

/// "FROM -> TO"
void parse_replace(const DeckSection& section, ArraySource& array) {
  const std::string& text = section.text("replace");
  if (text.empty()) return;
  const auto arrow = text.find("->");
  if (arrow != text.npos) array.replace_from = std::string(trim(text.substr(0, arrow))), array.replace_to = std::string(trim(text.substr(arrow + 2)));
  if (array.replace_from.empty() || array.replace_to.empty())
    throw usage_error("{} = {}: expected FROM -> TO, as in _x.h5 -> _y.h5", section.full("replace"), text);
  if (!array.file.empty()) throw usage_error("{} and {} exclude each other: both name the file of the array", section.full("file"), section.full("replace"));
}

ArraySource source_of(const Deck& deck, const std::string& name, const ShortForm* form) {
  const DeckSection* section = deck.section("array", name);
  ArraySource array{
      .name = name, .key = "array." + name + ".data", .axes_key = "array." + name + ".axes", .window_key = "array." + name + ".window", .parts = {}};
  std::string data = section != nullptr ? section->text("data") : "", axes = section != nullptr ? section->text("axes") : "";
  if (form != nullptr) {
    for (const auto& [key, mine, other, usual] : {std::tuple{"data", &data, form->key, form->usual}, std::tuple{"axes", &axes, form->axes_key, ""}}) {
      if (!mine->empty() && deck.text(other) != usual && deck.text(other) != *mine)
        throw usage_error("{} and {} are both given. Hint: keep one", section->full(key), other);
      if (mine->empty()) *mine = deck.text(other);
    }
    if (section == nullptr || section->text("data").empty()) array.key = form->key;
    if (section == nullptr || section->text("axes").empty()) array.axes_key = form->axes_key;
  }
  if (data.empty()) data = "/" + name;
  array.parts = ArrayPart::parse_list(data, array.key);
  array.axes = ArrayAxes::parse(axes, array.axes_key);
  if (section == nullptr) return array;
  array.window = parse_window(section->text("window"), array.window_key);
  array.file = section->text("file");
  parse_replace(*section, array);
  return array;
}

/// The targets of several losses, in the order of their channels.
std::vector<ArraySource> targets_of(const Deck& deck) {
  std::vector<ArraySource> arrays;
  for (const LossTerm& term : loss_terms(deck, {})) {
    if (std::ranges::find(arrays, term.target, &ArraySource::name) != arrays.end()) continue;
    arrays.push_back(source_of(deck, term.target, term.target == "labels" ? &short_forms[1] : nullptr));
    arrays.back().expected = term.targets.shape;
  }
  return arrays;
}

std::string text_of(const std::vector<ArraySource>& arrays) {
  std::string text;
  for (const ArraySource& array : arrays)
    for (const ArrayPart& part : array.parts) text += (text.empty() ? "" : ", ") + part.text;
  return text;
}

}  // namespace

void join_arrays(const Deck& deck, ShardNames& names, bool labelled) {
  const std::vector<Deck::Input> inputs = deck.inputs();
  std::vector<std::string> known{"labels"};
  for (const Deck::Input& input : inputs) known.push_back(input.name);
  for (const DeckSection& section : deck.named_sections())
    if (section.kind() == "loss" && std::ranges::find(known, section.text("target")) == known.end()) known.push_back(section.text("target"));
  for (const DeckSection& section : deck.named_sections())
    if (section.kind() == "array" && std::ranges::find(known, section.name()) == known.end())
      throw usage_error("[array {}] is not used by the deck. Hint: {}The arrays of this deck are {}; model.input and the losses name them", section.name(),
                        did_you_mean(section.name(), known), fmt::join(known, ", "));
  names.rows = parse_rows(deck, "data.train_rows");
  names.stride = deck.integer("data.stride");
  const bool named = deck.text("model.input").find(':') != std::string::npos;
  const bool sections = named || has_loss_terms(deck) || deck.section("array", "features") != nullptr || deck.section("array", "labels") != nullptr;
  const bool rows = !deck.text("data.train_rows").empty() || !deck.text("data.test_rows").empty() || !deck.text("data.validation_rows").empty();
  if (!sections && !rows && !says_more(deck, short_forms[0]) && (deck.text("data.labels").empty() || !says_more(deck, short_forms[1]))) return;
  for (const Deck::Input& input : inputs) {
    names.feature_arrays.push_back(source_of(deck, input.name, named ? nullptr : &short_forms[0]));
    if (named) names.feature_arrays.back().expected = input.shape;
  }
  if (has_loss_terms(deck)) {
    if (labelled) names.label_arrays = targets_of(deck);
    names.features = text_of(names.feature_arrays);
    names.labels = text_of(names.label_arrays);
    return;
  }
  const DeckSection* labels = deck.section("array", "labels");
  const bool has_labels = !deck.text("data.labels").empty() || (labels != nullptr && !labels->text("data").empty());
  if (labelled && has_labels) names.label_arrays = {source_of(deck, "labels", &short_forms[1])};
  names.features = text_of(names.feature_arrays);
  names.labels = text_of(names.label_arrays);
}

ExtentRange parse_rows(const Deck& deck, const std::string& key) {
  const std::string& text = deck.text(key);
  if (text.empty()) return {};
  const ExtentRange range = parse_extent_range(text, key);
  if (range.single) throw usage_error("{} = {}: expected a range FIRST:END, such as 0:200 or -365:", key, text);
  return range;
}

ExtentRange rows_for(const Deck& deck, const std::string& where) {
  if (where == deck.text("data.test")) return parse_rows(deck, "data.test_rows");
  if (where == deck.text("data.validation")) return parse_rows(deck, "data.validation_rows");
  return where == deck.text("data.train") ? parse_rows(deck, "data.train_rows") : ExtentRange{};
}

}  // namespace trireme
