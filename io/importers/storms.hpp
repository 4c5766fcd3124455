// Synthetic weather maps with two kinds of storms, in the layout of DeepCAM (Kurth et al. 2018, "Exascale deep learning for climate analytics"): 16
// channels of a global atmosphere, and for each pixel a class: background, tropical cyclone, or atmospheric river.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/importers/sample_source.hpp"

namespace trireme {

/// A channel of the maps; the names are DeepCAM's.
struct StormChannel {
  const char* name;
  const char* unit;
  double equator, pole;  // mean at the equator and at the poles
  double smooth, white;  // standard deviation of the smooth and of the white part of the noise
};
inline constexpr std::size_t storm_channels = 16;
extern const std::array<StormChannel, storm_channels> storm_channel_table;

/// Draws maps of height x width pixels, row 0 at the north pole, periodic in longitude:
///
///   value = mean(latitude) + smooth noise + white noise + cyclones + rivers + two distractors that are background: cold lows and moist air.
///
/// A tropical cyclone has a random center between 8 and 35 degrees of latitude and a radius R of 1.3 to 2 pixels (of 64 rows). At distance r, pressure
/// is lower by d exp(-(r / 1.5 R)^2), the wind turns with speed V (r / R) exp(1 - r / R), and moisture, temperature aloft and rain are larger by multiples of
/// exp(-(r / R)^2) or exp(-(r / 2 R)^2). Its pixels have r <= 1.4 R. A river is a curve of 22 to 38 pixels that leaves the tropics; at distance d from it,
/// moisture and the wind along it are larger by multiples of 2^-(d / w)^2, with a half width w of 1.6 to 2.6 pixels. Its pixels have d <= w.
class StormMaker {
 public:
  StormMaker(int height, int width);
  /// Sample `sample`; depends on (seed, sample) only. values: (height, width, channels). labels: (height, width).
  void draw(std::uint64_t seed, std::uint64_t sample, std::span<float> values, std::span<std::int64_t> labels) const;

 private:
  int height_, width_;
};

/// One sample per file: /climate/data (height, width, channels) and /climate/labels_0 (height, width). stats.h5 holds /climate/minval, maxval, mean and std of
/// each channel over the training files.
class StormSource : public FileSource {
 public:
  StormSource(std::uint64_t seed, std::int64_t train, std::int64_t test, std::int64_t height, std::int64_t width);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return counts_[part]; }
  std::int64_t files(Part part) const override { return counts_[part]; }
  std::string file_name(Part part, std::int64_t file) const override;
  std::vector<double> write(Part part, std::int64_t file, const std::filesystem::path& path, int gzip) const override;
  std::string summary_name() const override { return "stats.h5"; }
  std::size_t summary_numbers() const override { return 4 * storm_channels; }
  void write_summary(const std::filesystem::path& path, std::span<const double> numbers) const override;

 private:
  std::uint64_t seed_;
  PerPart<std::int64_t> counts_;
  SampleLayout layout_;
  StormMaker maker_;
};

}  // namespace trireme
