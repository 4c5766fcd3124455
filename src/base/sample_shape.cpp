#include "base/sample_shape.hpp"

#include "base/error.hpp"

namespace trireme {

Shape sample_shape(const std::string& text, const std::string& what) {
  const Shape shape = Shape::parse(text, what);
  if (shape.rank() <= max_sample_extents) return shape;
  Shape shorter = shape;
  while (shorter.rank() > max_sample_extents && shorter[0] == 1) shorter = shorter.without_first();
  const std::string hint = shorter.rank() <= max_sample_extents ? fmt::format("{} is the same sample with fewer leading extents of 1", shorter.text())
                                                                : std::string("merge adjacent dimensions of the files");
  throw usage_error("{} = {} has {} extents. A sample has channels and at most 3 spatial dimensions, so at most {} extents. Hint: {}", what, text, shape.rank(),
                    max_sample_extents, hint);
}

}  // namespace trireme
