// Interface of importers: train samples and test samples, streamed in order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/shape.hpp"
#include "io/shard.hpp"

namespace trireme {

enum class Part : std::uint8_t { train, test };
inline constexpr std::array<Part, 2> all_parts{Part::train, Part::test};

/// One value for each part.
template <class T>
class PerPart {
 public:
  PerPart() = default;
  PerPart(T train, T test) : values_{std::move(train), std::move(test)} {}
  T& operator[](Part part) { return values_[static_cast<std::size_t>(part)]; }
  const T& operator[](Part part) const { return values_[static_cast<std::size_t>(part)]; }

 private:
  std::array<T, 2> values_{};
};

/// Samples [first, end) of a part.
struct SampleRange {
  std::int64_t first = 0;
  std::int64_t end = 0;
};

/// Layout of one sample and its label: row-major, native byte order.
struct SampleLayout {
  Shape sample;
  ElementType feature_type = ElementType::u8;
  Shape label;  // rank 0: one number per sample
  ElementType label_type = ElementType::i64;

  std::size_t feature_bytes() const { return static_cast<std::size_t>(sample.size()) * size_of(feature_type); }
  std::size_t label_bytes() const { return static_cast<std::size_t>(label.size()) * size_of(label_type); }
};

/// Numbers of a whole data set, such as the mean that was subtracted from it.
struct SourceAttribute {
  bool of_labels = false;  // false: of the features
  std::string name;
  std::vector<double> values;
};

/// Receives the next `count` samples of `part`. The spans are valid only during the call.
using SampleSink = std::function<void(Part part, std::int64_t count, std::span<const std::byte> features, std::span<const std::byte> labels)>;

class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual const SampleLayout& layout() const = 0;
  virtual std::int64_t count(Part part) const = 0;
  virtual std::vector<SourceAttribute> attributes() const { return {}; }
  /// Passes the wanted samples to `sink`, ascending within each part (parts may interleave), one block in memory at a time. Checks that require
  /// reading the data happen here. Throws a data error that names the file. Not collective.
  virtual void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const = 0;
};

/// A source that lays out its files itself, such as one file per sample or one file per year, instead of shards with /x and /y.
class FileSource : public SampleSource {
 public:
  virtual std::int64_t files(Part part) const = 0;
  virtual std::string file_name(Part part, std::int64_t file) const = 0;
  /// Writes one file, whose content depends on its number only. Returns its numbers for the summary: as many for every file. Not collective.
  virtual std::vector<double> write(Part part, std::int64_t file, const std::filesystem::path& path, int gzip) const = 0;
  /// Name of a file beside the folders of the parts that describes all training files; empty: none.
  virtual std::string summary_name() const { return ""; }
  /// How many numbers write() returns.
  virtual std::size_t summary_numbers() const { return 0; }
  /// `numbers`: those of all training files, in the order of the files.
  virtual void write_summary(const std::filesystem::path&, std::span<const double> /*numbers*/) const {}
  /// Its samples do not go through a sink.
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const final;
};

}  // namespace trireme
