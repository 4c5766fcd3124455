// What a shard or a data set holds, and what is wrong with it.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/sample_shape.hpp"
#include "base/text.hpp"
#include "commands/inspect.hpp"
#include "commands/json_output.hpp"
#include "commands/shard_survey.hpp"
#include "config/deck.hpp"

namespace trireme {

using nlohmann::json;

namespace {

constexpr std::size_t most_problems = 20;

/// The keys of a deck that say how to read a data set; others have no meaning here.
SurveyOptions survey_options(const InspectRequest& request, bool prediction, std::string& scale) {
  SurveyOptions options;
  options.read_features = request.full || request.statistics;
  options.statistics = request.statistics;
  if (prediction) options.names = {"/output", "/class"};
  for (const std::string& word : request.overrides) {
    const auto equals = word.find('=');
    const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
    if (key == "data.features") {
      if (value.empty()) throw usage_error("data.features is empty; it names the data set of the features");
      options.names.features = value;
    } else if (key == "data.labels") {
      options.names.labels = value;
      options.labels_required = !value.empty();
    } else if (key == "model.input") {
      options.sample = sample_shape(value, key);
    } else if (key == "data.allow_unwritten" || key == "data.allow_external") {
      if (value != "true" && value != "false") throw usage_error("{} = '{}' is neither true nor false", key, value);
      (key == "data.allow_unwritten" ? options.names.allow_unwritten : options.names.allow_external) = value == "true";
    } else if (key == "data.scale") {
      parse_real(value, key);
      scale = value;
    } else {
      throw usage_error(
          "'--{}' says nothing about a data set. Known: --data.features, --data.labels, --model.input (the shape of a "
          "sample, where files hold one each), --data.scale (for --statistics), --data.allow_unwritten, --data.allow_external",
          word);
    }
  }
  return options;
}

/// What brings each channel to mean 0 and deviation 1; a channel of one value keeps its scale.
json normalisation(const ShardSurvey& survey, const std::string& scale) {
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

/// The same as lines of a deck.
std::string normalisation_lines(const json& statistics, const std::string& scale) {
  const auto list = [&](const char* key) {
    std::string text;
    for (const json& number : statistics[key])
      text += fmt::format("{}{:.6g}", text.empty() ? "" : ", ", number.get<double>());
    return text;
  };
  return fmt::format("[data]\nscale = {}\nmean = {}\nstd = {}", scale, list("mean"), list("std"));
}

json describe(const InspectRequest& request, const ShardSurvey& survey, const SurveyOptions& options, bool prediction) {
  std::int64_t rows = 0, bytes = 0, most = 0, least = std::numeric_limits<std::int64_t>::max(), empty = 0;
  const SurveyedShard* typical = nullptr;
  for (const auto& shard : survey.shards) {
    rows += shard.rows;
    bytes += shard.bytes;
    most = std::max(most, shard.rows);
    least = std::min(least, shard.rows);
    empty += shard.rows == 0;
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
  return fmt::format("from {:.6g} to {:.6g}, mean {:.6g}, standard deviation {:.6g}", of["min"].get<double>(),
                     of["max"].get<double>(), of["mean"].get<double>(), of["std"].get<double>());
}

void print(const json& object) {
  const auto integer = [&](const char* key) { return object[key].get<std::int64_t>(); };
  const bool prediction = object["kind"] == "predictions";
  log::info("{} {}: {} rows in {} shard(s), {}", prediction ? "predictions" : "data", object["path"].get<std::string>(),
            integer("rows"), integer("shards"), human_bytes(object["bytes"].get<double>()));
  if (integer("rows_least") != integer("rows_most"))
    log::info("shards are unequal: {} to {} rows{}", integer("rows_least"), integer("rows_most"),
              integer("empty_shards") > 0 ? fmt::format(", {} of them empty", integer("empty_shards")) : "");
  const json& features = object["features"];
  if (features.contains("shape"))
    log::info("{} {}: one row is {} {}{}", prediction ? "output" : "features", features["name"].get<std::string>(),
              shape_text(features["shape"]), features["type"].get<std::string>(),
              features.contains("min") ? "; " + numbers_text(features) : "");
  if (object.contains("labels")) {
    const json& labels = object["labels"];
    const bool single = labels["shape"].empty();
    log::info("{} {}: {} {}; {}", prediction ? "classes" : "labels", labels["name"].get<std::string>(),
              single ? std::string("one number a row,") : "one row is " + shape_text(labels["shape"]),
              labels["type"].get<std::string>(), numbers_text(labels));
    if (labels.contains("histogram")) {
      const json& histogram = labels["histogram"];
      if (histogram.size() > 50) {
        log::info("  {} different values", histogram.size());
      } else {
        std::vector<std::pair<std::int64_t, std::int64_t>> counts;
        for (const auto& [value, count] : histogram.items())
          counts.emplace_back(std::stoll(value), count.get<std::int64_t>());
        std::ranges::sort(counts);
        std::string text = "   value      rows";
        for (const auto& [value, count] : counts) text += fmt::format("\n{:>8} {:>9}", value, count);
        log::info("{}", text);
      }
    }
  } else if (features.contains("shape")) {
    log::info("labels: none found");
  }
  const json& problems = object["problems"];
  for (std::size_t i = 0; i < std::min(problems.size(), most_problems); ++i)
    log::info("problem: {}", problems[i].get<std::string>());
  if (problems.size() > most_problems) log::info("and {} more", problems.size() - most_problems);
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
  for (std::size_t at = 0, end; (end = list.find('\0', at)) != std::string::npos; at = end + 1)
    paths.push_back(list.substr(at, end - at));
  if (paths.empty())
    throw data_error("'{}' holds no shard. Hint: a folder with *.h5 files, a glob, or a comma-separated list of these",
                     request.path);

  std::string scale = "1";
  const SurveyOptions options = survey_options(request, prediction != 0, scale);
  const ShardSurvey survey = survey_shards(comm, paths, options);
  const bool broken = comm.all_reduce(survey.problems.empty() ? 0 : 1) != 0;
  if (comm.rank() == 0) {
    json object = describe(request, survey, options, prediction != 0);
    if (!survey.channels.empty()) object["statistics"] = normalisation(survey, scale);
    request.json ? print_json(comm, object) : print(object);
    if (!request.json && !survey.channels.empty()) log::info("\n{}", normalisation_lines(object["statistics"], scale));
  }
  if (!broken) return 0;
  if (request.json) return static_cast<int>(ExitCode::data);
  // The only one is told in full; of more the list above tells.
  std::string message;
  if (comm.rank() == 0)
    message =
        survey.problems.size() == 1
            ? survey.problems.front()
            : fmt::format(
                  "'{}': {} of its {} shards are broken or do not belong. Hint: each is named above, with its problem",
                  request.path, survey.problems.size(), survey.shards.size());
  throw Error(ExitCode::data, comm.broadcast(message));
}

}  // namespace trireme
