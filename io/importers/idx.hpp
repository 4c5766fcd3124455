// IDX, the format of MNIST and its successors: two zero bytes, an element type, a number of dimensions, the big-endian
// extents, then the elements, big-endian (LeCun, Cortes and Burges, "The MNIST database of handwritten digits").
#pragma once

#include <filesystem>
#include <string>

#include "io/importers/byte_stream.hpp"
#include "io/importers/sample_source.hpp"

namespace trireme {

/// One IDX file; reads forward only.
class IdxFile {
 public:
  /// Reads the header. Throws a data error if the file is not IDX.
  explicit IdxFile(const std::filesystem::path& path);

  const std::string& name() const { return stream_.name(); }
  std::int64_t rows() const { return rows_; }
  const Shape& row() const { return row_; }  // shape of one element of the first dimension
  ElementType type() const { return type_; }

  void skip_rows(std::int64_t count);
  /// Reads `count` whole rows in native byte order. After the last row checks that the file ends.
  void read_rows(std::int64_t count, std::vector<std::byte>& out);

 private:
  std::size_t row_bytes() const { return static_cast<std::size_t>(row_.size()) * size_of(type_); }
  void advance(std::int64_t count, std::int64_t found_bytes);

  ByteStream stream_;
  std::int64_t rows_ = 0;
  std::int64_t at_ = 0;
  Shape row_;
  ElementType type_ = ElementType::u8;
};

/// Paths of the files of a data set; empty paths: the source has no such part.
struct IdxFiles {
  PerPart<std::filesystem::path> features;
  PerPart<std::filesystem::path> labels;
};

/// Finds train-images-idx3-ubyte and related files (t10k or test, '.' or '-' before idx, compressed or not) in the folder `source`; or uses the
/// single file of features `source` as the train part, with the labels in the same folder.
IdxFiles find_idx_files(const std::filesystem::path& source);

class IdxSource : public SampleSource {
 public:
  explicit IdxSource(IdxFiles files);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return counts_[part]; }
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override;

 private:
  IdxFiles files_;
  PerPart<std::int64_t> counts_;
  SampleLayout layout_;
};

}  // namespace trireme
