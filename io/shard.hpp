// Shards: the HDF5 files of a data set, described, read by rows, and written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/box.hpp"
#include "base/shape.hpp"
#include "io/h5.hpp"

namespace trireme {

/// How elements lie in a staging buffer: what the file holds, brought to native byte order and to the nearest of these.
/// (int8..int32, uint8..uint32 keep their width; 64-bit integers stay; half, float, double: float16 is widened to float32.)
enum class ElementType : std::uint8_t { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };

std::size_t size_of(ElementType type);
std::string_view name_of(ElementType type);  // "uint8", ... as numpy says
bool is_integer(ElementType type);
/// HDF5's type of an element in memory; owned by the library.
hid_t memory_type(ElementType type);

/// Names inside the files, as the deck gives them, and what is allowed in these.
struct ShardNames {
  std::string features = "/x";
  std::string labels = "/y";     // empty: no labels (prediction, autoencoders)
  bool allow_unwritten = false;  // what was never written, or has no source, is its fill value; else an error
  bool allow_external = false;   // external raw storage may lie outside the folder of the file that names it
};

/// Whether a file's name ends as those of HDF5 files: .h5, .hdf5, .he5, .hdf, .nc, .nc4, .mat, in any case.
bool named_as_hdf5(const std::filesystem::path& file);

/// What one shard holds; cheap to make (metadata only).
struct ShardInfo {
  std::string path;
  std::int64_t rows = 0;
  Shape sample;                               // features of one sample, as stored
  ElementType feature_type = ElementType::f32;
  Shape label;                                // one sample's label: rank 0 for (n) labels
  ElementType label_type = ElementType::i64;
  bool has_labels = false;
  bool single_sample = false;                 // the file is one sample: data set without the leading row dimension
};

/// The files that `where` names: a directory (its *.h5, *.hdf5 and *.he5, sorted; where it has none its *.nc and *.nc4, then *.mat, then *.hdf; other HDF5 files
/// that are left out are said), a glob, or a comma-separated list of any of these.
/// Throws a data error saying what was looked for and what was found.
std::vector<std::string> find_shards(const std::string& where);

/// Opens, checks that the data sets exist, are numeric, agree in rows, and were written (also the sources of virtual ones, which are opened); closes. `sample`, when its rank is not 0, is the shape of
/// one sample as the model wants it: a file whose features have that shape without a row dimension is one sample.
ShardInfo describe_shard(const std::string& path, const ShardNames& names, const Shape& sample = {});

/// Reads rows of one shard. Keeps the file open. Errors name file, data set, what was expected and found.
class ShardReader {
 public:
  /// `sample` and `label` say how the model sees a row's features and labels, (channels, extents...): what the boxes below are cut out of. Not given: as
  /// stored. They may have leading ones more or fewer than the file.
  ShardReader(const ShardInfo& info, const ShardNames& names, const Shape& sample = {}, const Shape& label = {});
  ~ShardReader();
  ShardReader(ShardReader&&) noexcept;
  ShardReader& operator=(ShardReader&&) noexcept;

  const ShardInfo& info() const;
  /// Rows [first, first+count) of the features, in info().feature_type, row-major as stored. `out` is exactly that many bytes. All of these return the
  /// bytes that were asked of the file.
  std::int64_t read_features(std::int64_t first, std::int64_t count, std::span<std::byte> out);
  std::int64_t read_labels(std::int64_t first, std::int64_t count, std::span<std::byte> out);
  /// Of each row all channels, but only this box of their extents: (count, channels, box). The file is asked for no more than that where its shape shows
  /// channels and extents; where it does not (784 numbers that the model sees as 1x28x28), rows are read whole and cut.
  std::int64_t read_features(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out);
  std::int64_t read_labels(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes one shard row block after row block. Under a temporary name until finish() renames it.
class ShardWriter {
 public:
  struct Options {
    ShardNames names;
    Shape sample;
    ElementType feature_type = ElementType::u8;
    Shape label;                              // rank 0: one number a row
    ElementType label_type = ElementType::i64;
    bool has_labels = true;
    int gzip = 0;                             // 0: contiguous, uncompressed; 1-9: chunked (chunk_rows) and deflated, shuffled
    std::int64_t chunk_rows = 64;
  };
  /// `rows` is the final number of rows.
  ShardWriter(const std::filesystem::path& path, std::int64_t rows, const Options& options);
  ~ShardWriter();
  /// Appends rows. `features` and `labels` hold whole rows in the options' types.
  void append(std::span<const std::byte> features, std::span<const std::byte> labels);
  /// Checks that all rows came, flushes, closes, renames. Without it the destructor removes the temporary file.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trireme
