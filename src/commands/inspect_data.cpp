// Describes a shard or a data set, and reports its problems.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "commands/inspect.hpp"
#include "commands/json_output.hpp"
#include "commands/shard_survey.hpp"
#include "config/deck.hpp"
#include "io/file_content.hpp"
#include "train/reading.hpp"

namespace trireme {

using nlohmann::json;

namespace {

constexpr std::size_t most_problems = 20;

constexpr std::array usable_keys{"data.features",        "data.labels",         "data.axes",  "data.label_axes",
                                 "data.netcdf",          "data.stride",         "data.scale", "data.train_rows",
                                 "data.allow_unwritten", "data.allow_external", "model.input"};

bool given(const InspectRequest& request, const std::string& key) {
  return std::ranges::any_of(request.overrides, [&](const std::string& word) { return word.starts_with(key + "="); });
}

/// The keys of the command line as a deck. A deck must have an input and a layer: the input is used only if the command line gives one, the layer never.
Deck deck_of(const InspectRequest& request) {
  std::string first;  // of several inputs, which the first layer must name
  for (const std::string& word : request.overrides)
    if (const auto colon = word.find(':'); word.starts_with("model.input=") && colon != word.npos) first = " from=" + word.substr(12, colon - 12);
  std::vector<std::string> overrides{"data.train=" + request.path};
  overrides.insert(overrides.end(), request.overrides.begin(), request.overrides.end());
  return Deck("[model]\ninput = 1\nlayer = flatten" + first + "\n", "the command line", overrides);
}

/// Accepts the deck keys that say how to read a data set, and refuses all others.
SurveyOptions survey_options(const InspectRequest& request, bool prediction, std::string& scale) {
  SurveyOptions options;
  options.read_features = request.full || request.statistics;
  options.statistics = request.statistics;
  if (prediction) options.names = {"/output", "/class"};
  if (request.overrides.empty()) return options;
  for (const std::string& word : request.overrides) {
    const std::string key = word.substr(0, word.find('='));
    if (!key.starts_with("array.") && std::ranges::find(usable_keys, key) == usable_keys.end())
      throw usage_error(
          "'--{}' does not apply to data. Expected --array.NAME.KEY, --{} (--data.scale: for --statistics; --model.input: the shape of a sample, "
          "needed if each file holds one sample)",
          word, fmt::join(usable_keys, ", --"));
  }
  const Deck deck = deck_of(request);
  const DeckSection* const labels = deck.section("array", "labels");
  if (deck.text("data.features").empty()) throw usage_error("data.features is empty. Expected the name of the HDF5 dataset with the features");
  options.labels_required = labels != nullptr || (given(request, "data.labels") && !deck.text("data.labels").empty());
  const bool prediction_names = prediction && !given(request, "data.features");
  ShardNames names = shard_names(deck, true);
  if (!names.label_arrays.empty() && !options.labels_required) names = shard_names(deck, false);  // nothing asks for the dataset /y
  if (prediction_names) names.features = options.names.features, names.labels = options.names.labels;
  options.names = std::move(names);
  if (given(request, "model.input")) options.sample = deck.input_shape();
  scale = deck.text("data.scale");
  return options;
}

/// Mean and standard deviation that normalize each channel. A constant channel keeps its scale.
json normalization(const ShardSurvey& survey, const std::string& scale) {
  const double factor = parse_real(scale, "data.scale");
  json means = json::array(), deviations = json::array();
  for (const NumberSummary& channel : survey.channels) {
    const json numbers = channel.json();
    const double deviation = std::abs(factor) * numbers.value("std", 0.0);
    means.push_back(factor * numbers.value("mean", 0.0));
    deviations.push_back(deviation > 0 ? deviation : 1.0);
  }
  return {{"scale", factor}, {"mean", means}, {"std", deviations}};
}

/// The same as lines of a deck. Several inputs share the channels; each has a section of its own.
std::string normalisation_lines(const json& statistics, const std::string& scale, const InspectRequest& request, const ShardNames& names) {
  const auto list = [&](const char* key, std::size_t first, std::size_t count) {
    std::string text;
    for (std::size_t i = first; i < first + count; ++i) text += fmt::format("{}{:.6g}", text.empty() ? "" : ", ", statistics[key][i].get<double>());
    return text;
  };
  const std::size_t channels = statistics["mean"].size();
  if (names.feature_arrays.empty()) return fmt::format("[data]\nscale = {}\nmean = {}\nstd = {}", scale, list("mean", 0, channels), list("std", 0, channels));
  std::string text;
  std::size_t first = 0;
  const bool several = names.feature_arrays.size() > 1;
  const std::vector<Deck::Input> inputs = several ? deck_of(request).inputs() : std::vector<Deck::Input>{};
  for (std::size_t i = 0; i < names.feature_arrays.size(); ++i) {
    const std::size_t count = several ? static_cast<std::size_t>(inputs[i].shape[0]) : channels;
    if (first + count > channels) break;
    text += fmt::format("[array {}]\n{}mean = {}\nstd = {}\n", names.feature_arrays[i].name, scale == "1" ? "" : "scale = " + scale + "\n",
                        list("mean", first, count), list("std", first, count));
    first += count;
  }
  return text;
}

json describe(const InspectRequest& request, const ShardSurvey& survey, const SurveyOptions& options, bool prediction) {
  std::int64_t rows = 0, bytes = 0, with_checksums = 0, most = 0, least = std::numeric_limits<std::int64_t>::max(), empty = 0;
  const SurveyedShard* typical = nullptr;
  for (const auto& shard : survey.shards) {
    rows += shard.rows;
    bytes += shard.bytes;
    most = std::max(most, shard.rows);
    least = std::min(least, shard.rows);
    empty += shard.rows == 0;
    with_checksums += shard.has_checksums;
    if (typical == nullptr && shard.problem.empty() && shard.rows > 0) typical = &shard;
  }
  json object{{"kind", prediction ? "predictions" : "data"},
              {"path", request.path},
              {"whole", survey.problems.empty()},
              {"shards", survey.shards.size()},
              {"rows", rows},
              {"rows_least", least},
              {"rows_most", most},
              {"empty_shards", empty},
              {"bytes", bytes},
              {"shards_with_checksums", with_checksums},
              {"problems", survey.problems}};
  object["features"] = {{"name", options.names.features}};
  if (typical != nullptr) {
    object["features"]["shape"] = json_of(typical->sample);
    object["features"]["type"] = typical->feature_type;
    if (!typical->label_type.empty()) {
      object["labels"] = survey.labels.json();
      object["labels"]["name"] = options.names.labels;
      object["labels"]["shape"] = json_of(typical->label);
      object["labels"]["type"] = typical->label_type;
    }
  }
  if (options.read_features) object["features"].update(survey.features.json());
  return object;
}

std::string shape_text(const json& extents) {
  const auto list = extents.get<std::vector<std::int64_t>>();
  return Shape(std::span(list)).tuple();
}

std::string numbers_text(const json& of) {
  if (!of.contains("min")) return {};
  return fmt::format("from {:.6g} to {:.6g}, mean {:.6g}, standard deviation {:.6g}{}", of["min"].get<double>(), of["max"].get<double>(),
                     of["mean"].get<double>(), of["std"].get<double>(),
                     of.contains("missing") ? fmt::format("; {} missing", of["missing"].get<std::int64_t>()) : "");
}

void print(const json& object, bool all_read) {
  const auto integer = [&](const char* key) { return object[key].get<std::int64_t>(); };
  const bool prediction = object["kind"] == "predictions";
  log::info("{} {}: {} rows in {} shard(s), {}", prediction ? "predictions" : "data", object["path"].get<std::string>(), integer("rows"), integer("shards"),
            human_bytes(object["bytes"].get<double>()));
  if (integer("rows_least") != integer("rows_most"))
    log::info("shards have different sizes: {} to {} rows{}", integer("rows_least"), integer("rows_most"),
              integer("empty_shards") > 0 ? fmt::format(", {} of them empty", integer("empty_shards")) : "");
  const json& features = object["features"];
  if (features.contains("shape"))
    log::info("{} {}: one row is {} {}{}", prediction ? "output" : "features", features["name"].get<std::string>(), shape_text(features["shape"]),
              features["type"].get<std::string>(), features.contains("min") ? "; " + numbers_text(features) : "");
  if (object.contains("labels")) {
    const json& labels = object["labels"];
    const bool single = labels["shape"].empty();
    log::info("{} {}: {} {}; {}", prediction ? "classes" : "labels", labels["name"].get<std::string>(),
              single ? std::string("one number per row,") : "one row is " + shape_text(labels["shape"]), labels["type"].get<std::string>(),
              numbers_text(labels));
    if (labels.contains("histogram")) {
      const json& histogram = labels["histogram"];
      if (histogram.size() > 50) {
        log::info("  {} distinct values", histogram.size());
      } else {
        std::vector<std::pair<std::int64_t, std::int64_t>> counts;
        for (const auto& [value, count] : histogram.items()) counts.emplace_back(std::stoll(value), count.get<std::int64_t>());
        std::ranges::sort(counts);
        std::string text = "   value      rows";
        for (const auto& [value, count] : counts) text += fmt::format("\n{:>8} {:>9}", value, count);
        log::info("{}", text);
      }
    }
  } else if (features.contains("shape")) {
    log::info("labels: none");
  }
  if (const std::int64_t with = integer("shards_with_checksums"), all = integer("shards"); with == 0)
    log::info("no checksums: changes to the values cannot be detected");
  else
    log::info("{} of {} shard(s) have checksums; {}", with, all,
              all_read ? "all values were verified" : "the labels were verified (use --full to verify the features too)");
  const json& problems = object["problems"];
  for (std::size_t i = 0; i < std::min(problems.size(), most_problems); ++i) log::info("problem: {}", problems[i].get<std::string>());
  if (problems.size() > most_problems) log::info("and {} more", problems.size() - most_problems);
}

}  // namespace

namespace {

constexpr std::size_t most_datasets = 200;  // in the list

/// Lists the datasets of the first file. Returns whether this is all: the files have no /x, and no key says which dataset holds the features. Collective.
bool tell_of_content(const Communicator& comm, const InspectRequest& request, const std::vector<std::string>& paths) {
  const bool named =
      std::ranges::any_of(request.overrides, [](const std::string& word) { return word.starts_with("data.features=") || word.starts_with("array."); });
  std::int64_t all = 0;
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::vector<DatasetContent> content;
    try {
      content = file_content(paths.front());
    } catch (const Error&) {
      return;  // the survey names the fault
    }
    const bool usual = std::ranges::any_of(content, [](const DatasetContent& one) { return one.name == "/x"; });
    all = !named && !usual && !content.empty() && !request.full && !request.statistics;
    if (request.json) {
      if (all == 0) return;
      json list = json::array();
      for (const DatasetContent& one : content)
        list.push_back({{"name", one.name}, {"shape", one.shape}, {"type", one.type}, {"storage", one.storage}, {"members", one.members}});
      print_json(comm, {{"kind", "files"}, {"path", request.path}, {"files", paths.size()}, {"first", paths.front()}, {"datasets", list}});
      return;
    }
    std::size_t wide = 4, wider = 5;
    for (const DatasetContent& one : content) {
      wide = std::max(wide, one.name.size());
      wider = std::max(wider, Shape(std::span(one.shape)).tuple().size());
    }
    log::info("'{}'{}:", paths.front(), paths.size() > 1 ? fmt::format(", the first of {} files", paths.size()) : "");
    for (std::size_t i = 0; i < std::min(content.size(), most_datasets); ++i) {
      const DatasetContent& one = content[i];
      log::info("  {:<{}}  {:<{}}  {:<8}  {}{}", one.name, wide, Shape(std::span(one.shape)).tuple(), wider, one.type, one.storage,
                one.members.empty() ? "" : fmt::format("; members {}", fmt::join(one.members, ", ")));
    }
    if (content.size() > most_datasets) log::info("  and {} more", content.size() - most_datasets);
    if (all == 0) return;
    const std::string lines = proposed_arrays(content);
    log::info("there is no dataset /x, so the deck must name the arrays.{}",
              lines.empty() ? "" : " These lines are a guess; docs/data.md explains the keys:\n\n" + lines);
  });
  return comm.all_reduce(all) != 0;
}

}  // namespace

int inspect_data(const Communicator& comm, const InspectRequest& request) {
  std::string list;
  int prediction = 0;
  comm.together([&] {
    if (comm.rank() != 0) return;
    const auto found = find_shards(request.path);
    for (const std::string& path : found) list += path + '\0';
    prediction = found.size() == 1 && is_prediction(found.front()) ? 1 : 0;
  });
  list = comm.broadcast(list);
  comm.broadcast(std::span(&prediction, 1));
  std::vector<std::string> paths;
  for (std::size_t at = 0, end; (end = list.find('\0', at)) != std::string::npos; at = end + 1) paths.push_back(list.substr(at, end - at));
  if (paths.empty())
    throw data_error("'{}' contains no shard. Hint: give a folder with *.h5 files, a glob pattern, or a comma-separated list of these", request.path);

  if (prediction == 0 && tell_of_content(comm, request, paths)) return 0;
  std::string scale = "1";
  const SurveyOptions options = survey_options(request, prediction != 0, scale);
  const ShardSurvey survey = survey_shards(comm, paths, options);
  const bool broken = comm.all_reduce(survey.problems.empty() ? 0 : 1) != 0;
  if (comm.rank() == 0) {
    json object = describe(request, survey, options, prediction != 0);
    if (!survey.channels.empty()) object["statistics"] = normalization(survey, scale);
    request.json ? print_json(comm, object) : print(object, options.read_features);
    const bool told = options.names.axes.given() || options.sample.rank() > 0;
    if (!request.json && survey.channels.size() > 1 && !told && object["features"].contains("shape") && object["features"]["shape"].size() > 1)
      log::info(
          "statistics are per channel; the channels are the first of a row's axes ({} channels). Hint: give the shape of a sample with "
          "--model.input, or another order of axes with --data.axes, such as y, x, channel",
          survey.channels.size());
    if (!request.json && !survey.channels.empty()) log::info("\n{}", normalisation_lines(object["statistics"], scale, request, options.names));
  }
  if (!broken) return 0;
  if (request.json) return static_cast<int>(ExitCode::data);
  // A single problem is reported in full; several are in the list above.
  std::string message;
  if (comm.rank() == 0)
    message = survey.problems.size() == 1
                  ? survey.problems.front()
                  : fmt::format("'{}': {} of its {} shards are damaged or do not match the others. Hint: the list above names each of them and its problem",
                                request.path, survey.problems.size(), survey.shards.size());
  throw Error(ExitCode::data, comm.broadcast(message));
}

}  // namespace trireme
