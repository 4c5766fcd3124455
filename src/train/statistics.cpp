#include "train/statistics.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "base/timer.hpp"
#include "data/data_set.hpp"
#include "io/retry.hpp"
#include "io/with_type.hpp"
#include "losses/loss_function.hpp"
#include "parallel/graph.hpp"
#include "train/arrays.hpp"
#include "train/reading.hpp"
#include "train/test_evaluation.hpp"

namespace trireme {

namespace {

constexpr std::int64_t least_block_bytes = std::int64_t{16} << 20, most_blocks = 4096;

/// Moments of the finite numbers of one channel; merged as in Chan, Golub and LeVeque (1983).
struct ChannelMoments {
  double count = 0, mean = 0, squares = 0;  // squares: sum of (x - mean)^2

  void add(double x) {
    if (!std::isfinite(x)) return;
    count += 1;
    const double delta = x - mean;
    mean += delta / count;
    squares += delta * (x - mean);
  }
  void merge(const ChannelMoments& other) {
    if (other.count == 0) return;
    const double total = count + other.count, delta = other.mean - mean;
    mean += delta * other.count / total;
    squares += other.squares + delta * delta * count * other.count / total;
    count = total;
  }
};

bool is_auto(const std::string& text) { return text == "auto"; }
bool is_file(const std::string& text) { return text.find(":/") != text.npos; }

/// Channels [first, first + count) of features or labels, with `period` channels per time step.
struct ArrayChannels {
  std::string name;
  bool of_features;
  std::int64_t first, count, period;
};

std::vector<ArrayChannels> channels_of_arrays(const Deck& deck, const ShardNames& names, const DataSet& data) {
  std::vector<ArrayChannels> all;
  const auto add = [&](const std::vector<ArraySource>& arrays, bool of_features, std::int64_t channels) {
    std::int64_t first = 0;
    for (const ArraySource& array : arrays) {
      const auto steps = static_cast<std::int64_t>(std::max<std::size_t>(1, array.window.size()));
      const std::int64_t own = array.expected.rank() > 0 ? array.expected[0] : channels;
      if (deck.section("array", array.name) != nullptr) all.push_back({array.name, of_features, first, own, own / steps});
      first += own;
    }
  };
  const auto channels = [](const Shape& shape) { return shape.rank() == 0 ? 1 : shape[0]; };
  const ShardInfo& shard = *std::ranges::find_if(data.shards(), [](const ShardInfo& s) { return s.rows > 0; });
  add(names.feature_arrays, true, channels(shard.sample));
  add(names.label_arrays, false, channels(shard.label));
  return all;
}

/// Adds rows of `channels` channels each.
void add_rows(ElementType type, const std::byte* rows, std::int64_t count, std::int64_t row, std::int64_t channels, ChannelMoments* moments) {
  with_type(type, [&]<class Number>(Number) {
    const std::int64_t pixels = row / channels;
    for (std::int64_t r = 0; r < count; ++r)
      for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t p = 0; p < pixels; ++p) {
          Number value;
          std::memcpy(&value, rows + static_cast<std::size_t>((r * channels + c) * pixels + p) * sizeof(Number), sizeof(Number));
          moments[c].add(static_cast<double>(value));
        }
  });
}

/// Moments of all channels of the features, then of the labels. Blocks of rows are dealt to the ranks and merged in order, so the result does not depend on
/// their number.
std::vector<ChannelMoments> moments_of(const Communicator& comm, const DataSet& data, std::int64_t feature_channels, std::int64_t label_channels) {
  const std::int64_t row_bytes = std::max<std::int64_t>(1, data.feature_bytes() + data.label_bytes());
  const std::int64_t block = std::max({std::int64_t{1}, least_block_bytes / row_bytes, data.size() / most_blocks});
  struct Block {
    std::size_t shard;
    std::int64_t first, count;
  };
  std::vector<Block> blocks;
  for (std::size_t s = 0; s < data.shards().size(); ++s)
    for (std::int64_t row = 0, rows = data.starts()[s + 1] - data.starts()[s]; row < rows; row += blocks.back().count) {
      const DataSet::Place place = data.place(s, row);
      blocks.push_back({s, place.file_row, std::min(block, place.count)});
    }
  const auto width = static_cast<std::size_t>(feature_channels + label_channels), ranks = static_cast<std::size_t>(comm.size());
  std::vector<ChannelMoments> mine;
  comm.together([&] {
    std::vector<std::byte> rows;
    for (auto b = static_cast<std::size_t>(comm.rank()); b < blocks.size(); b += ranks) {
      const ShardInfo& shard = data.shards()[blocks[b].shard];
      std::vector<ChannelMoments> found(width);
      with_retries(usual_retries, [&] {
        found.assign(width, {});
        ShardReader reader(shard, data.names());
        const std::int64_t at_once = std::max<std::int64_t>(1, least_block_bytes / row_bytes);
        for (std::int64_t done = 0; done < blocks[b].count; done += at_once) {
          const std::int64_t some = std::min(at_once, blocks[b].count - done), first = blocks[b].first + done;
          rows.resize(static_cast<std::size_t>(some * data.feature_bytes()));
          reader.read_features(first, some, rows);
          add_rows(data.feature_type(), rows.data(), some, shard.sample.size(), feature_channels, found.data());
          if (label_channels == 0) continue;
          rows.resize(static_cast<std::size_t>(some * data.label_bytes()));
          reader.read_labels(first, some, rows);
          add_rows(data.label_type(), rows.data(), some, shard.label.size(), label_channels, found.data() + feature_channels);
        }
      });
      mine.insert(mine.end(), found.begin(), found.end());
    }
  });
  const std::vector<std::byte> bytes = comm.all_gather(std::as_bytes(std::span<const ChannelMoments>(mine)));
  std::vector<ChannelMoments> all(bytes.size() / sizeof(ChannelMoments)), merged(width);
  std::memcpy(all.data(), bytes.data(), all.size() * sizeof(ChannelMoments));
  // Rank r has blocks r, r + ranks, ...
  std::vector<std::size_t> at(ranks);
  for (std::size_t r = 0, before = 0; r < ranks; ++r) {
    at[r] = before;
    before += (blocks.size() + ranks - 1 - r) / ranks * width;
  }
  for (std::size_t b = 0; b < blocks.size(); ++b)
    for (std::size_t c = 0; c < width; ++c) merged[c].merge(all[at[b % ranks] + b / ranks * width + c]);
  return merged;
}

std::vector<double> numbers_in(const std::string& text, const std::string& key) {
  const auto colon = text.rfind(":/");
  const std::string file = text.substr(0, colon), name = text.substr(colon + 1);
  const ShardInfo info = describe_shard(file, {.features = name, .labels = ""});
  std::vector<std::byte> raw(static_cast<std::size_t>(info.rows * info.sample.size()) * size_of(info.feature_type));
  ShardReader reader(info, {.features = name, .labels = ""});
  reader.read_features(0, info.rows, raw);
  std::vector<double> numbers(raw.size() / size_of(info.feature_type));
  with_type(info.feature_type, [&]<class Number>(Number) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      Number value;
      std::memcpy(&value, raw.data() + i * sizeof(Number), sizeof(Number));
      numbers[i] = static_cast<double>(value);
    }
  });
  constexpr std::size_t most = 100000;
  if (numbers.size() > most) throw usage_error("{} = {}: the dataset has {} numbers. Expected one for each channel", key, text, numbers.size());
  return numbers;
}

std::string list_of(const std::vector<double>& numbers) { return fmt::format("{}", fmt::join(numbers, ", ")); }

/// The numbers that an earlier start of the run wrote to its deck.ini; empty: there is no such deck.
std::string earlier_deck(const Communicator& comm, const std::filesystem::path& run) {
  std::string text;
  if (comm.rank() == 0) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(run / "deck.ini", ignored) && !read_text(run / "deck.ini", text).empty()) text.clear();
  }
  return comm.broadcast(text);
}

}  // namespace

Deck with_statistics(const Communicator& comm, const Deck& deck, const std::filesystem::path& run) {
  std::vector<std::pair<const DeckSection*, const char*>> wanted;
  for (const DeckSection& section : deck.named_sections())
    if (section.kind() == "array")
      for (const char* key : {"mean", "std"})
        if (is_auto(section.text(key)) || is_file(section.text(key))) wanted.emplace_back(&section, key);
  if (wanted.empty()) return deck;
  if (deck.text("task.mode") != "none" && (deck.text("task.sweep").find("data.train") != std::string::npos || !deck.text("task.table").empty()))
    throw usage_error(
        "{} = auto with tasks that may train on different data (task.sweep of data.train, or task.table): all tasks would have the numbers of the "
        "deck's data.train. Hint: give numbers, or run the tasks one by one",
        wanted.front().first->full(wanted.front().second));

  std::vector<std::string> overrides;
  if (const std::string text = deck.text("checkpoint.resume") == "never" ? "" : earlier_deck(comm, run); !text.empty()) {
    const Deck before = Deck::stored(text, (run / "deck.ini").string());
    for (const auto& [section, key] : wanted) {
      const DeckSection* same = before.section("array", section->name());
      if (same != nullptr && !same->text(key).empty() && !is_auto(same->text(key)) && !is_file(same->text(key)))
        overrides.push_back(section->full(key) + "=" + same->text(key));
    }
    if (overrides.size() == wanted.size()) return Deck(deck.resolved(), deck.origin(), overrides);
    overrides.clear();
  }

  const bool reads_data = std::ranges::any_of(wanted, [](const auto& one) { return is_auto(one.first->text(one.second)); });
  std::vector<ArrayChannels> arrays;
  std::vector<ChannelMoments> moments;
  std::int64_t feature_channels = 0;
  const Timer timer;
  if (reads_data) {
    const Graph graph(deck);
    const ShardNames names = shard_names(deck);
    DataSet data(comm, deck.text("data.train"), names, deck.input_shape(), label_demand(deck, deck.input_shape(), graph.output()));
    if (const auto held_out = held_out_rows(deck)) data.select(*held_out, false);
    arrays = channels_of_arrays(deck, data.names(), data);
    std::int64_t label_channels = 0;
    for (const ArrayChannels& array : arrays) (array.of_features ? feature_channels : label_channels) += array.count;
    const ShardInfo& shard = *std::ranges::find_if(data.shards(), [](const ShardInfo& s) { return s.rows > 0; });
    feature_channels = shard.sample.rank() == 0 ? 1 : shard.sample[0];
    if (data.labels().stored()) label_channels = shard.label.rank() == 0 ? 1 : shard.label[0];
    moments = moments_of(comm, data, feature_channels, data.labels().stored() ? label_channels : 0);
    log::info("mean and std of the arrays: computed from {} samples of {} in {}", data.size(), data.where(), human_seconds(timer.seconds()));
  }
  for (const auto& [section, key] : wanted) {
    std::vector<double> numbers;
    if (is_file(section->text(key))) {
      std::string found;
      comm.together([&] {
        if (comm.rank() == 0) found = list_of(numbers_in(section->text(key), section->full(key)));
      });
      overrides.push_back(section->full(key) + "=" + comm.broadcast(found));
      continue;
    }
    const auto array = std::ranges::find(arrays, section->name(), &ArrayChannels::name);
    if (array == arrays.end())
      throw usage_error("{} = auto: the run does not read this array. Hint: remove [array {}], or name the array in model.input", section->full(key),
                        section->name());
    for (std::int64_t c = 0; c < array->period; ++c) {
      ChannelMoments all;
      for (std::int64_t at = array->first + c; at < array->first + array->count; at += array->period)
        all.merge(moments[static_cast<std::size_t>((array->of_features ? 0 : feature_channels) + at)]);
      const double scale = section->real("scale"), deviation = all.count > 0 ? std::sqrt(all.squares / all.count) : 0;
      numbers.push_back(std::string_view(key) == "mean" ? scale * all.mean : deviation > 0 ? std::abs(scale) * deviation : 1);
    }
    overrides.push_back(section->full(key) + "=" + list_of(numbers));
  }
  return Deck(deck.resolved(), deck.origin(), overrides);
}

}  // namespace trireme
