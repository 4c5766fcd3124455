// Synthetic volumes for segmentation: fractals of five kinds in noise, with a class for each voxel. A small relative of ScaFFold's fractal volumes.
#pragma once

#include <cstdint>
#include <span>

#include "io/importers/sample_source.hpp"

namespace trireme {

inline constexpr int volume_classes = 6;  // 0: background; 1 to 5: kind of the fractal

/// Draws volumes of S^3 voxels. A fractal of kind c is a ball of radius R (3 to 5.5 voxels of 32) with balls of half the radius on its surface, and again on
/// these: kind 1 at the 6 vertices of an octahedron, 2 at the 8 of a cube, 3 at the 4 of a tetrahedron, 4 at the 6 of a hexagon in a plane, 5 at the 2 ends of
/// a line; each fractal has a random rotation. A volume has 3 to 5 of them with random kinds and centers; the later covers the earlier. Grey values:
/// 70 + 25 c (background: 45) + 5 x a smooth wave + white noise with a standard deviation of 10, rounded to 0 to 255.
class VolumeMaker {
 public:
  explicit VolumeMaker(int extent) : extent_(extent) {}
  /// Sample `sample`; depends on (seed, sample) only.
  void draw(std::uint64_t seed, std::uint64_t sample, std::span<std::uint8_t> values, std::span<std::uint8_t> labels) const;

 private:
  int extent_;
};

class VolumeSource : public SampleSource {
 public:
  VolumeSource(std::uint64_t seed, std::int64_t train, std::int64_t test, std::int64_t extent);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return counts_[part]; }
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override;

 private:
  std::uint64_t seed_;
  PerPart<std::int64_t> counts_;
  SampleLayout layout_;
};

}  // namespace trireme
