#include "commands/shard_survey.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/error.hpp"
#include "commands/json_output.hpp"
#include "io/shard_checksum.hpp"

namespace trireme {

using nlohmann::json;

namespace {

constexpr std::int64_t block_bytes = std::int64_t{8} << 20;

/// Whether the file has a link of this name. The link may lead to nothing.
bool holds(const std::string& path, const std::string& name) {
  const h5::File file = h5::open_file(path, "shard", ExitCode::data);
  return h5::link_exists(file, name);
}

/// Adds rows to the summary of each channel.
void add_channels(ElementType type, const std::byte* rows, std::int64_t count, std::int64_t row_size, std::vector<NumberSummary>& channels, bool gaps) {
  const std::size_t row_bytes = static_cast<std::size_t>(row_size) * size_of(type), run = row_bytes / channels.size();
  std::vector<std::byte> one(static_cast<std::size_t>(count) * run);
  for (std::size_t c = 0; c < channels.size(); ++c) {
    for (std::size_t r = 0; r < static_cast<std::size_t>(count); ++r) std::copy_n(rows + r * row_bytes + c * run, run, one.data() + r * run);
    channels[c].add(type, one.data(), count * row_size / static_cast<std::int64_t>(channels.size()), gaps);
  }
}

/// Reads all rows of one data set and adds them to `summary`, and to `channels` unless there are none. Throws where a
/// row cannot be read or a number is not finite.
void read_all(const std::string& name, const ShardInfo& info, const Shape& row, ElementType type, bool gaps, NumberSummary& summary,
              std::vector<NumberSummary>* channels, const std::function<void(std::int64_t, std::int64_t, std::span<std::byte>)>& read) {
  const std::int64_t row_bytes = row.size() * static_cast<std::int64_t>(size_of(type)), rows_a_block = std::max<std::int64_t>(block_bytes / row_bytes, 1);
  std::vector<std::byte> block(static_cast<std::size_t>(std::min(rows_a_block, info.rows) * row_bytes));
  for (std::int64_t first = 0; first < info.rows; first += rows_a_block) {
    const std::int64_t count = std::min(rows_a_block, info.rows - first), bad = summary.not_finite();
    read(first, count, std::span(block).first(static_cast<std::size_t>(count * row_bytes)));
    summary.add(type, block.data(), count * row.size(), gaps);
    if (channels != nullptr) add_channels(type, block.data(), count, row.size(), *channels, gaps);
    if (summary.not_finite() != bad)
      throw data_error("shard '{}': dataset '{}' has {} NaN or infinite values in rows [{}, {})", info.path, name, summary.not_finite() - bad, first,
                       first + count);
  }
}

/// What a rank finds in one shard, as JSON for rank 0.
json look_at(const std::string& path, const SurveyOptions& options, NumberSummary& labels, NumberSummary& features, std::vector<NumberSummary>& channels) {
  json found{{"path", path}, {"problem", ""}};
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(path, ignored);
  if (!ignored) found["bytes"] = bytes;
  try {
    ShardNames names = options.names;
    if (!names.labels.empty() && !options.labels_required && !holds(path, names.labels)) names.labels.clear();
    const ShardInfo info = describe_shard(path, names, options.sample);
    found["rows"] = info.rows;
    found["checksums"] = info.has_checksums;
    found["sample"] = json_of(info.sample);
    found["feature_type"] = name_of(info.feature_type);
    if (info.has_labels) {
      found["label"] = json_of(info.label);
      found["label_type"] = name_of(info.label_type);
    }
    ShardReader reader(info, names);
    if (info.has_labels)
      read_all(names.labels, info, info.label, info.label_type, info.label_gaps, labels, nullptr,
               [&](std::int64_t first, std::int64_t count, std::span<std::byte> out) { reader.read_labels(first, count, out); });
    if (options.statistics && info.rows > 0) {
      const Shape& sample = options.sample.rank() > 0 ? options.sample : info.sample;
      if (sample.rank() == 0 || sample.size() != info.sample.size())
        throw data_error("shard '{}': one row has shape {}; the statistics per channel need {}. Hint: give the shape of a sample with --model.input", path,
                         info.sample.tuple(), sample.rank() == 0 ? "the channels as the first axis" : sample.tuple());
      if (!same_order(info.sample, sample))
        throw data_error(
            "shard '{}': one row has shape {}; --model.input = {} has the same number of elements in another order. Hint: give the order of the "
            "file's axes with --data.axes{}",
            path, info.sample.tuple(), sample.text(), axes_for(info.sample, sample).empty() ? "" : fmt::format(": '{}'", axes_for(info.sample, sample)));
      channels.resize(static_cast<std::size_t>(sample[0]), NumberSummary(false));
    }
    if (options.read_features)
      read_all(names.features, info, info.sample, info.feature_type, info.feature_gaps, features, options.statistics ? &channels : nullptr,
               [&](std::int64_t first, std::int64_t count, std::span<std::byte> out) { reader.read_features(first, count, out); });
    if (options.read_features) verify_shard(path, names);
  } catch (const Error& error) {
    found["problem"] = error.what();
  } catch (const std::exception& error) {
    // Usually a damaged number, such as a size that fits in no memory. The other shards are examined anyway.
    found["problem"] =
        fmt::format("shard '{}' cannot be read: {}. Hint: the file is damaged, or one of its rows is larger than the memory", path, described(error).what());
  }
  return found;
}

Shape shape_of(const json& extents) {
  const auto list = extents.get<std::vector<std::int64_t>>();
  return Shape(std::span(list));
}

Shape without_leading_ones(Shape shape) {
  while (shape.rank() > 0 && shape[0] == 1) shape = shape.without_first();
  return shape;
}

SurveyedShard unpack(const json& found) {
  SurveyedShard shard;
  shard.path = found["path"];
  shard.problem = found["problem"];
  shard.bytes = found.value("bytes", std::int64_t{0});
  if (!found.contains("sample")) return shard;
  shard.rows = found["rows"];
  shard.has_checksums = found["checksums"];
  shard.sample = shape_of(found["sample"]);
  shard.feature_type = found["feature_type"];
  if (!found.contains("label")) return shard;
  shard.label = shape_of(found["label"]);
  shard.label_type = found["label_type"];
  return shard;
}

/// If shards differ, the shards in the minority are reported. Shards without rows match any shape.
void compare(ShardSurvey& survey) {
  const std::function<std::string(const SurveyedShard&)> traits[] = {
      [](const SurveyedShard& shard) { return "samples of shape " + without_leading_ones(shard.sample).tuple(); },
      [](const SurveyedShard& shard) { return "features of type " + shard.feature_type; },
      [](const SurveyedShard& shard) {
        return shard.label_type.empty() ? std::string("no labels") : fmt::format("labels of shape {} and type {}", shard.label.tuple(), shard.label_type);
      }};
  for (const auto& trait : traits) {
    std::map<std::string, std::int64_t> kinds;
    for (const auto& shard : survey.shards)
      if (shard.problem.empty() && shard.rows > 0) ++kinds[trait(shard)];
    if (kinds.size() < 2) continue;
    const auto usual = std::ranges::max_element(kinds, {}, [](const auto& kind) { return kind.second; })->first;
    for (auto& shard : survey.shards) {
      if (!shard.problem.empty() || shard.rows == 0 || trait(shard) == usual) continue;
      shard.problem =
          fmt::format("shard '{}' has {}, but {} of the shards have {}. All shards of a data set must agree. Hint: remove the shards that do not belong to it",
                      shard.path, trait(shard), kinds[usual], usual);
    }
  }
}

}  // namespace

ShardSurvey survey_shards(const Communicator& comm, const std::vector<std::string>& paths, const SurveyOptions& options) {
  NumberSummary labels, features(false);
  std::vector<NumberSummary> channels;
  json mine = json::array();
  comm.together([&] {
    for (auto s = static_cast<std::size_t>(comm.rank()); s < paths.size(); s += static_cast<std::size_t>(comm.size()))
      mine.push_back(look_at(paths[s], options, labels, features, channels));
  });
  json told{{"shards", std::move(mine)}, {"labels", labels.pack()}, {"features", features.pack()}, {"channels", json::array()}};
  for (const NumberSummary& channel : channels) told["channels"].push_back(channel.pack());
  // Paths may contain any bytes. JSON text must be UTF-8, but CBOR need not be.
  const auto bytes = json::to_cbor(told);
  ShardSurvey survey;
  survey.shards.resize(paths.size());
  std::size_t rank = 0;
  for (const std::string& text : comm.gather(std::string(bytes.begin(), bytes.end()))) {
    const json part = json::from_cbor(text);
    for (std::size_t i = 0; i < part["shards"].size(); ++i) survey.shards[rank + i * static_cast<std::size_t>(comm.size())] = unpack(part["shards"][i]);
    survey.labels.merge(NumberSummary::unpack(part["labels"]));
    survey.features.merge(NumberSummary::unpack(part["features"]));
    survey.channels.resize(std::max(survey.channels.size(), part["channels"].size()), NumberSummary(false));
    for (std::size_t c = 0; c < part["channels"].size(); ++c) survey.channels[c].merge(NumberSummary::unpack(part["channels"][c]));
    ++rank;
  }
  if (comm.rank() != 0) return survey;
  compare(survey);
  std::int64_t rows = 0;
  for (const auto& shard : survey.shards) {
    rows += shard.rows;
    if (!shard.problem.empty()) survey.problems.push_back(shard.problem);
  }
  if (rows == 0 && survey.problems.empty()) survey.problems.push_back(fmt::format("the {} shard(s) contain no rows", survey.shards.size()));
  return survey;
}

}  // namespace trireme
