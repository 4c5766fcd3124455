#include "train/initial_weights.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/name_pattern.hpp"
#include "config/key_spec.hpp"
#include "layers/part.hpp"
#include "train/resume_check.hpp"
#include "train/shared_reader.hpp"
#include "train/snapshot.hpp"

namespace trireme {

namespace {

const bool keys_are_known = add_deck_keys(
    {key("model.weights", KeySpec::Type::text, "",
         "Fine-tuning: a checkpoint file, or a run directory (its newest checkpoint), whose parameters and buffers begin this run. Arrays are found by name; "
         "the "
         "start prints which matched. The run begins at step 0 with a fresh optimizer. When the run resumes, its own checkpoint counts. Empty: random "
         "parameters."),
     key("model.weights_rename", KeySpec::Type::text, "",
         "Other names of arrays in the file of model.weights: OLD:NEW, separated by commas. OLD is a name, its first parts (encoder:trunk), or a pattern in "
         "which each * stands for the same text as in NEW. The first rule that matches counts. Empty: the same names."),
     key("model.weights_skip", KeySpec::Type::text, "",
         "Arrays of this network that model.weights does not fill: names, their first parts, or patterns with *, separated by commas. Empty: none."),
     choice("model.weights_shapes", {"error", "skip"},
            "What to do if an array of model.weights has the name of one of this network and another shape. error: stop. skip: keep the initial values.")});

struct FileArrays {
  std::map<std::string, Shape> shapes;  // of /model, without the prefix
  std::int64_t step = 0;
  bool averaged = false;
};

/// Collective.
FileArrays read_names(SharedReader& shared, const Communicator& comm) {
  std::string text;
  shared.read([&](const CheckpointReader& reader) {
    nlohmann::json found{{"arrays", nlohmann::json::object()}, {"averaged", false}};
    for (const auto& array : reader.arrays()) {
      if (array.name.starts_with("ema/")) found["averaged"] = true;
      if (!array.name.starts_with("model/")) continue;
      std::vector<std::int64_t> extents(array.shape.span().begin(), array.shape.span().end());
      found["arrays"][array.name.substr(6)] = extents;
    }
    const auto& integers = reader.content().integers;
    found["step"] = integers.contains("step") ? integers.at("step") : 0;
    text = found.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  });
  const auto found = nlohmann::json::parse(comm.broadcast(text));
  FileArrays arrays{.shapes = {}, .step = found["step"].get<std::int64_t>(), .averaged = found["averaged"].get<bool>()};
  for (const auto& [name, extents] : found["arrays"].items()) {
    const auto numbers = extents.get<std::vector<std::int64_t>>();
    arrays.shapes.emplace(name, Shape(std::span<const std::int64_t>(numbers)));
  }
  return arrays;
}

std::vector<std::string> names_of(const auto& map) {
  std::vector<std::string> names;
  for (const auto& [name, ignored] : map) names.push_back(name);
  return names;
}

/// The name in the file of each name here. Throws if a rule matches nothing, or two arrays get one name.
std::map<std::string, std::string> sources_of(const FileArrays& file, const std::string& where, const Deck& deck) {
  const auto rules = NameRule::parse_list(deck.text("model.weights_rename"), "model.weights_rename");
  for (const NameRule& rule : rules) require_match(rule.from(), names_of(file.shapes), "model.weights_rename", fmt::format("'{}'", where));
  std::map<std::string, std::string> sources;
  for (const auto& [name, shape] : file.shapes) {
    std::string here = name;
    for (const NameRule& rule : rules)
      if (const auto renamed = rule.renamed(name)) {
        here = *renamed;
        break;
      }
    if (const auto [other, fresh] = sources.emplace(here, name); !fresh)
      throw usage_error("model.weights_rename: '{}' and '{}' of '{}' would both be '{}'. Hint: rename the one that is not wanted, too", other->second, name,
                        where, here);
  }
  return sources;
}

/// One array at a time is whole in memory, on every rank; each keeps its part.
template <class T>
class ArrayLoader {
 public:
  ArrayLoader(SharedReader& shared, const Communicator& comm, Network<T>& network)
      : shared_(shared),
        comm_(comm),
        network_(network),
        values_(Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.value_arena())),
        buffers_(Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.buffer_arena())) {}
  /// Collective.
  void load(const WholeArray& to, const std::string& from) {
    std::vector<T> whole(static_cast<std::size_t>(to.shape.size()));
    shared_.read([&](const CheckpointReader& reader) { reader.read(from, whole.data(), to.shape.size()); });
    comm_.broadcast(std::span(whole));
    for (const Parameter& part : network_.parameters())
      if (part.name == to.name) take_part(part.shape, part.slice, whole.data(), values_.data() + part.offset);
    for (const NetworkBuffer& part : network_.buffers())
      if (part.name == to.name) take_part(part.shape, part.slice, whole.data(), buffers_.data() + part.offset);
  }
  void finish() {
    Kokkos::deep_copy(network_.value_arena(), values_);
    Kokkos::deep_copy(network_.buffer_arena(), buffers_);
  }

 private:
  SharedReader& shared_;
  const Communicator& comm_;
  Network<T>& network_;
  HostArena<T> values_, buffers_;
};

/// Keys that say what the network's inputs mean, if they differ.
std::vector<std::string> input_notes(const SavedRun& saved, const Deck& deck) {
  std::vector<std::string> notes;
  if (!saved.deck) return notes;
  for (const char* name : {"data.scale", "data.mean", "data.std"}) {
    const std::string &then = saved.deck->text(name), &now = deck.text(name);
    if (then != now)
      notes.push_back(fmt::format("the weights were trained with {} = {}, and this deck has {}: check that inputs have the same scale", name,
                                  then.empty() ? "(not set)" : then, now.empty() ? "(not set)" : now));
  }
  return notes;
}

void require_something(const WeightsReport& report, const FileArrays& file, const std::vector<WholeArray>& arrays) {
  if (!report.loaded.empty()) return;
  std::vector<std::string> here;
  for (const WholeArray& array : arrays) here.push_back(array.name);
  throw usage_error(
      "model.weights: no array of '{}' is used. Its arrays are {}; those of the network are {}. Hint: name the layers alike, or map the names with "
      "model.weights_rename = OLD:NEW",
      report.file, fmt::join(names_of(file.shapes), ", "), fmt::join(here, ", "));
}

}  // namespace

std::vector<std::string> WeightsReport::lines() const {
  std::vector<std::string> lines{fmt::format("weights of '{}' (step {}{}): {} of {} arrays, {} of {} numbers", file, step, averaged ? ", moving averages" : "",
                                             loaded.size(), loaded.size() + absent.size() + skipped.size() + other_shapes.size(), numbers, of_numbers)};
  const auto add = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) lines.push_back(fmt::format("  {}: {}", what, fmt::join(names, ", ")));
  };
  add("loaded", loaded);
  add("not in the file, so initialized", absent);
  add("skipped, so initialized", skipped);
  add("other shape in the file, so initialized", other_shapes);
  add("in the file, but not in this network", unused);
  return lines;
}

nlohmann::json WeightsReport::json() const {
  return {{"event", "weights"}, {"step", 0},           {"file", file},       {"of_step", step},
          {"loaded", loaded},   {"absent", absent},    {"skipped", skipped}, {"other_shapes", other_shapes},
          {"unused", unused},   {"averaged", averaged}};
}

template <class T>
WeightsReport load_initial_weights(const Deck& deck, const Communicator& comm, Network<T>& network) {
  const std::string& wanted = deck.text("model.weights");
  const auto found = find_checkpoint(comm, wanted);
  if (!found) throw checkpoint_error("model.weights = '{}' holds no checkpoint. Hint: set it to a checkpoint file or a run directory", wanted);
  SharedReader shared(*found, comm, nullptr);
  const FileArrays file = read_names(shared, comm);
  WeightsReport report{.file = found->string(), .step = file.step, .averaged = file.averaged};
  const auto sources = sources_of(file, report.file, deck);

  std::vector<WholeArray> arrays = network.whole_parameters();
  const std::size_t parameters = arrays.size();
  for (const WholeArray& buffer : network.whole_buffers()) arrays.push_back(buffer);
  std::set<std::string> here;
  for (const WholeArray& array : arrays) here.insert(array.name);
  const auto skips = NamePattern::parse_list(deck.text("model.weights_skip"), "model.weights_skip");
  for (const NamePattern& pattern : skips) {
    std::set<std::string> both = here;
    for (const auto& [name, ignored] : sources) both.insert(name);
    const std::vector<std::string> names(both.begin(), both.end());
    require_match(pattern, names, "model.weights_skip", fmt::format("the network or '{}'", report.file));
  }

  std::vector<std::pair<std::size_t, std::string>> loads;
  for (std::size_t a = 0; a < arrays.size(); ++a) {
    const auto& [name, shape] = arrays[a];
    report.of_numbers += shape.size();
    const auto source = sources.find(name);
    if (matches_any(skips, name)) {
      report.skipped.push_back(name);
    } else if (source == sources.end()) {
      report.absent.push_back(name);
    } else if (const Shape& stored = file.shapes.at(source->second); !(stored == shape)) {
      report.other_shapes.push_back(fmt::format("{} {} -> {}", name, stored.tuple(), shape.tuple()));
    } else {
      loads.emplace_back(a, source->second);
      report.loaded.push_back(name);
      report.numbers += shape.size();
    }
  }
  for (const auto& [name, source] : sources)
    if (!here.contains(name)) report.unused.push_back(source);
  if (!report.other_shapes.empty() && deck.text("model.weights_shapes") == "error")
    throw usage_error(
        "model.weights: {} array(s) of '{}' have another shape than in this network: {}. Hint: to keep the initial values of a new head, name it in "
        "model.weights_skip, give its layer another name, or set model.weights_shapes = skip",
        report.other_shapes.size(), report.file, fmt::join(report.other_shapes, "; "));
  require_something(report, file, arrays);

  ArrayLoader<T> loader(shared, comm, network);
  for (const auto& [a, source] : loads) loader.load(arrays[a], (file.averaged && a < parameters ? "ema/" : "model/") + source);
  loader.finish();
  report.notes = input_notes(saved_run(comm, *found, nullptr), deck);
  return report;
}

template WeightsReport load_initial_weights(const Deck&, const Communicator&, Network<float>&);
template WeightsReport load_initial_weights(const Deck&, const Communicator&, Network<double>&);

}  // namespace trireme
