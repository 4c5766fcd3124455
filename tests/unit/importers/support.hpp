// What the importers' tests share: small source files, and a sink that keeps everything.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/importers/sample_source.hpp"

namespace trireme::test {

using Bytes = std::vector<std::byte>;

/// All that a source hands over, by part.
struct Collected {
  PerPart<Bytes> features, labels;
  PerPart<std::int64_t> count{0, 0};
};

inline Collected collect(const SampleSource& source, const PerPart<SampleRange>& wanted) {
  Collected all;
  source.stream(wanted, [&](Part part, std::int64_t count, std::span<const std::byte> features, std::span<const std::byte> labels) {
    all.count[part] += count;
    all.features[part].insert(all.features[part].end(), features.begin(), features.end());
    all.labels[part].insert(all.labels[part].end(), labels.begin(), labels.end());
  });
  return all;
}

inline Collected collect(const SampleSource& source) {
  return collect(source, {SampleRange{0, source.count(Part::train)}, SampleRange{0, source.count(Part::test)}});
}

/// Streams in random pieces: the same bytes must come as in one go.
inline bool pieces_agree(const SampleSource& source, RandomStream& random) {
  const Collected whole = collect(source);
  Collected sum;
  PerPart<std::int64_t> at{0, 0};
  while (at[Part::train] < source.count(Part::train) || at[Part::test] < source.count(Part::test)) {
    PerPart<SampleRange> wanted;
    for (const Part part : all_parts) {
      const std::int64_t left = source.count(part) - at[part];
      const auto n = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(left) + 1));
      wanted[part] = {at[part], at[part] + n};
      at[part] += n;
    }
    const Collected piece = collect(source, wanted);
    for (const Part part : all_parts) {
      sum.count[part] += piece.count[part];
      sum.features[part].insert(sum.features[part].end(), piece.features[part].begin(), piece.features[part].end());
      sum.labels[part].insert(sum.labels[part].end(), piece.labels[part].begin(), piece.labels[part].end());
    }
  }
  return std::ranges::all_of(all_parts, [&](Part part) {
    return whole.count[part] == source.count(part) && sum.count[part] == whole.count[part] && sum.features[part] == whole.features[part] &&
           sum.labels[part] == whole.labels[part];
  });
}

template <class T>
std::vector<T> values_of(const Bytes& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(values.data()));
  return values;
}

inline void write_file(const std::filesystem::path& path, std::string_view content) { std::ofstream(path, std::ios::binary) << content; }

inline void write_gzip(const std::filesystem::path& path, std::string_view content) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The error of `action`, "" without one.
inline std::string message_of(const std::function<void()>& action, ExitCode expected = ExitCode::data) {
  try {
    action();
  } catch (const Error& error) {
    return error.code() == expected ? error.what() : std::string("with another exit code: ") + error.what();
  }
  return "";
}

/// All of `words` stand in `message`.
inline bool says(const std::string& message, std::initializer_list<std::string_view> words) {
  return std::ranges::all_of(words, [&](std::string_view word) { return message.find(word) != std::string::npos; });
}

}  // namespace trireme::test
