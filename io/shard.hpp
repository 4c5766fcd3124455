// Shards: the HDF5 files of a data set. Describes, reads and writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/box.hpp"
#include "base/shape.hpp"
#include "io/array_source.hpp"
#include "io/axes.hpp"
#include "io/h5.hpp"

namespace trireme {

/// Element types of staging buffers: stored elements in native byte order, converted to the nearest of these types. (int8..int32 and uint8..uint32
/// keep their width; 64-bit integers, float and double stay; float16 becomes float32.)
enum class ElementType : std::uint8_t { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };

std::size_t size_of(ElementType type);
std::string_view name_of(ElementType type);  // "uint8", ... as in numpy
bool is_integer(ElementType type);
/// HDF5's type of an element in memory; owned by the library.
hid_t memory_type(ElementType type);

/// Standardization of rows: the mean that was subtracted from each number, and the standard deviation by which it was divided; empty: none.
struct Moments {
  std::vector<double> mean, deviation;
  bool operator==(const Moments&) const = default;
};

/// Names inside the files, rules for their numbers, and permissions, from the deck.
struct ShardNames {
  std::string features = "/x";
  std::string labels = "/y";     // empty: no labels (prediction, autoencoders)
  bool allow_unwritten = false;  // read unwritten data, or data without a source, as the fill value; otherwise an error
  bool allow_external = false;   // external raw storage may lie outside the folder of the shard
  AxisOrder axes = {}, label_axes = {};
  /// Arrays that features and labels are joined from along the channels (the deck's [array NAME]); empty: the dataset above alone. Then `features` and `labels`
  /// above are only text for messages.
  std::vector<ArraySource> feature_arrays = {}, label_arrays = {};
  ExtentRange rows = {};    // of the samples, or of the time steps, of each file
  std::int64_t stride = 1;  // time steps between two samples
  bool netcdf = true;       // apply scale_factor, add_offset, _FillValue, missing_value and valid_* of the data sets
  /// Moments for standardizing rows, whatever the moments in a file are (attributes of `trireme shard csv --standardize`); empty: as stored.
  std::optional<Moments> feature_moments = {}, label_moments = {};
};

/// Whether a file name has an extension of HDF5 files: .h5, .hdf5, .he5, .hdf, .nc, .nc4, .mat, in upper or lower case.
bool named_as_hdf5(const std::filesystem::path& file);

/// Description of one shard; cheap (metadata only).
struct ShardInfo {
  std::string path;
  std::int64_t rows = 0;
  Shape sample;  // features of one sample, as stored, but with axes in the model's order
  ElementType feature_type = ElementType::f32;
  Shape label;  // label of one sample: rank 0 for (n) labels
  ElementType label_type = ElementType::i64;
  bool has_labels = false;
  bool single_sample = false;                     // the file is one sample: data sets have no leading dimension of rows
  bool has_checksums = false;                     // every data set that is read has one (io/shard_checksum.hpp)
  std::uint64_t checksum = 0;                     // combination of the checksums of all data that are read; 0 without them
  std::uint64_t decoding = 0;                     // digest of how stored numbers become values (netCDF attributes), without moments
  std::uint64_t sources = 0;                      // digest of the names and rows of the other files that hold its data (virtual data sets, links); 0: none
  bool feature_gaps = false, label_gaps = false;  // the file marks missing numbers; they are read as NaN
};

/// The files of `where`: a folder (its *.h5, *.hdf5 and *.he5, sorted; if there are none its *.nc and *.nc4, then *.mat, then *.hdf; a warning names
/// other HDF5 files that are not used), a glob, or a comma-separated list of these. Throws a data error with what was looked for and what was found.
std::vector<std::string> find_shards(const std::string& where);

/// Opens a shard, checks that its data sets exist, are numeric, have equal numbers of rows, and were written (the sources of virtual data sets are
/// opened, too), and closes it. `sample`, if its rank is not 0, is the shape of one sample in the model: a file whose features have this shape
/// without a dimension of rows is one sample.
/// `label`: the shape of one label in the model, if its rank is not 0.
ShardInfo describe_shard(const std::string& path, const ShardNames& names, const Shape& sample = {}, const Shape& label = {});

/// The moments that a data set of a shard was standardized with; empty if it was not.
Moments stored_moments(const std::string& path, const std::string& name);

/// Reads rows of one shard. Keeps the file open. Errors contain file, data set, and what was expected and found.
class ShardReader {
 public:
  /// `sample` and `label`: shapes of features and labels in the model, (channels, extents...), in which the boxes below lie; if not given, the stored
  /// shapes. They may differ from the file in leading extents of 1. `verify`: compare chunks with their checksum (Fletcher32), if they have one.
  ShardReader(const ShardInfo& info, const ShardNames& names, const Shape& sample = {}, const Shape& label = {}, bool verify = true);
  ~ShardReader();
  ShardReader(ShardReader&&) noexcept;
  ShardReader& operator=(ShardReader&&) noexcept;

  const ShardInfo& info() const;
  /// Reads rows [first, first+count) of the features, in info().feature_type, row-major, with axes in the model's order, decoded by the netCDF
  /// attributes. `out` must have exactly this size in bytes. All of these functions return the bytes requested from the file.
  std::int64_t read_features(std::int64_t first, std::int64_t count, std::span<std::byte> out);
  std::int64_t read_labels(std::int64_t first, std::int64_t count, std::span<std::byte> out);
  /// Reads of each row all channels, but only this box of their extents: (count, channels, box). Reads only the box from the file if the stored shape
  /// has channels and extents; otherwise (784 numbers that the model sees as 1x28x28) reads whole rows and extracts the box.
  std::int64_t read_features(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out);
  std::int64_t read_labels(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes one shard in blocks of rows, with a temporary name until finish() renames it.
class ShardWriter {
 public:
  struct Options {
    ShardNames names;
    Shape sample;
    ElementType feature_type = ElementType::u8;
    Shape label;  // rank 0: one number per row
    ElementType label_type = ElementType::i64;
    bool has_labels = true;
    int gzip = 0;                       // 0: uncompressed; 1-9: shuffle and deflate
    std::int64_t chunk_rows = 64;       // rows per chunk if compressed or with checksums; larger rows are divided. 0: contiguous, without Fletcher32
    std::int64_t label_chunk_rows = 0;  // rows per chunk of labels, if larger than chunk_rows
    bool checksums = true;              // Fletcher32 per chunk, and one checksum per data set; without these and gzip: contiguous
  };
  /// `rows`: the final number of rows.
  ShardWriter(const std::filesystem::path& path, std::int64_t rows, const Options& options);
  ~ShardWriter();
  /// Appends rows. `features` and `labels` hold whole rows in the types of the options.
  void append(std::span<const std::byte> features, std::span<const std::byte> labels);
  /// Checks that all rows were appended, flushes, closes and renames the file. Without it the destructor removes the temporary file.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trireme
