// Shards for tests whose features tell which row they are, so that any mix-up of rows is seen in the samples
// themselves.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "data/batch_stream.hpp"
#include "io/shard.hpp"

namespace trireme::test {

struct MadeShards {
  std::int64_t elements = 3;                    // of a sample
  ElementType feature_type = ElementType::i32;  // i32 or f32: element e of row r is r * elements + e
  ElementType label_type = ElementType::i64;    // of class labels: r % classes
  std::int64_t classes = 7;                     // 0: labels are values instead, `label_count` doubles: r + 1/2, r + 3/2...
  std::int64_t label_count = 2;
  int gzip = 0;
  Shape sample = {}, label = {};  // as stored, of so many elements; none: a list of numbers
  /// Called with every number before it is written: row of the data set, element (features) or -1 (labels).
  std::function<double(std::int64_t row, std::int64_t element, double value)> spoil = nullptr;

  LabelDemand demand() const {
    if (classes > 0) return {LabelDemand::Kind::classes, classes};
    return {LabelDemand::Kind::values, label_count};
  }
};

template <class T>
void append_number(std::vector<std::byte>& bytes, double value) {
  const T number = static_cast<T>(value);
  const auto* begin = reinterpret_cast<const std::byte*>(&number);
  bytes.insert(bytes.end(), begin, begin + sizeof(T));
}

inline void append_number(std::vector<std::byte>& bytes, ElementType type, double value) {
  switch (type) {
    case ElementType::u8:
      return append_number<std::uint8_t>(bytes, value);
    case ElementType::i8:
      return append_number<std::int8_t>(bytes, value);
    case ElementType::i16:
      return append_number<std::int16_t>(bytes, value);
    case ElementType::i32:
      return append_number<std::int32_t>(bytes, value);
    case ElementType::i64:
      return append_number<std::int64_t>(bytes, value);
    case ElementType::u64:
      return append_number<std::uint64_t>(bytes, value);
    case ElementType::f32:
      return append_number<float>(bytes, value);
    case ElementType::f64:
      return append_number<double>(bytes, value);
    default:
      BOOST_FAIL("no such type in these tests");
  }
}

/// shard_0000.h5, ... in `folder`, one for each entry of `rows`. Not collective.
inline void make_shards(const std::filesystem::path& folder, const std::vector<std::int64_t>& rows, const MadeShards& made) {
  const auto value = [&](std::int64_t row, std::int64_t element, double number) { return made.spoil ? made.spoil(row, element, number) : number; };
  std::int64_t row = 0;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    ShardWriter::Options options;
    options.sample = made.sample.rank() > 0 ? made.sample : Shape{made.elements};
    options.feature_type = made.feature_type;
    if (made.classes == 0) options.label = made.label.rank() > 0 ? made.label : Shape{made.label_count};
    options.label_type = made.classes == 0 ? ElementType::f64 : made.label_type;
    options.gzip = made.gzip;
    options.chunk_rows = 5;
    std::vector<std::byte> features, labels;
    for (std::int64_t i = 0; i < rows[s]; ++i, ++row) {
      for (std::int64_t e = 0; e < made.elements; ++e) append_number(features, made.feature_type, value(row, e, static_cast<double>(row * made.elements + e)));
      if (made.classes > 0) {
        append_number(labels, made.label_type, value(row, -1, static_cast<double>(row % made.classes)));
      } else {
        for (std::int64_t k = 0; k < made.label_count; ++k) append_number<double>(labels, value(row, -1, static_cast<double>(row + k) + 0.5));
      }
    }
    ShardWriter writer(folder / fmt::format("shard_{:04}.h5", s), rows[s], options);
    writer.append(features, labels);
    writer.finish();
  }
}

template <class T>
T number_at(const std::byte* sample, std::int64_t i) {
  T value;
  std::memcpy(&value, sample + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

/// The rows of the data set that the batch holds, in its order, after checking every number of them.
inline std::vector<std::int64_t> rows_of(const HostBatch& batch, const MadeShards& made) {
  BOOST_REQUIRE(batch.features.size() == static_cast<std::size_t>(batch.count));
  const bool classes = made.classes > 0;
  BOOST_REQUIRE(batch.classes.size() == static_cast<std::size_t>(classes ? batch.count : 0));
  BOOST_REQUIRE(batch.values.size() == static_cast<std::size_t>(classes ? 0 : batch.count));
  const auto feature = [&](std::int64_t sample, std::int64_t e) {
    const std::byte* const at = batch.features[static_cast<std::size_t>(sample)];
    return made.feature_type == ElementType::f32 ? static_cast<std::int64_t>(number_at<float>(at, e)) : std::int64_t{number_at<std::int32_t>(at, e)};
  };
  std::vector<std::int64_t> rows;
  bool right = true;
  for (std::int64_t i = 0; i < batch.count; ++i) {
    const std::int64_t row = feature(i, 0) / made.elements;
    for (std::int64_t e = 0; e < made.elements; ++e) right &= feature(i, e) == row * made.elements + e;
    if (classes) right &= batch.classes[static_cast<std::size_t>(i)] == row % made.classes;
    for (std::int64_t k = 0; !classes && k < made.label_count; ++k)
      right &= number_at<double>(batch.values[static_cast<std::size_t>(i)], k) == static_cast<double>(row + k) + 0.5;
    rows.push_back(row);
  }
  BOOST_TEST(right, "features and labels are those of one row");
  return rows;
}

/// Shards of any size, some empty, some of a single row; at least one row in all.
inline std::vector<std::int64_t> random_sizes(RandomStream& random, std::uint64_t most_shards, std::uint64_t most_rows) {
  std::vector<std::int64_t> sizes(1 + random.below(most_shards));
  for (auto& size : sizes) {
    const auto kind = random.below(5);
    size = kind == 0 ? 0 : kind == 1 ? 1 : static_cast<std::int64_t>(random.below(most_rows));
  }
  sizes[random.below(sizes.size())] = 1 + static_cast<std::int64_t>(random.below(most_rows));
  return sizes;
}

inline std::vector<std::int64_t> starts_of(const std::vector<std::int64_t>& sizes) {
  std::vector<std::int64_t> starts{0};
  for (const std::int64_t size : sizes) starts.push_back(starts.back() + size);
  return starts;
}

}  // namespace trireme::test
