// Reads runs of rows of one shard.
#include <algorithm>
#include <bit>

#include "base/error.hpp"
#include "io/detail/shard_types.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace {

/// Room for every chunk that one row touches, so that reads of rising rows decompress each chunk once; no more than
/// this.
constexpr std::size_t largest_cache = std::size_t{256} << 20;

/// Access properties whose chunk cache suits reading rows in rising runs.
h5::Properties row_access(const h5::Dataset& dataset, const std::vector<std::int64_t>& extents,
                          const std::string& context) {
  h5::Properties access(TRIREME_H5(H5Pcreate(H5P_DATASET_ACCESS), context));
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), context));
  if (H5Pget_layout(creation) != H5D_CHUNKED) return access;
  std::vector<hsize_t> chunk(extents.size());
  TRIREME_H5(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), context);
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), context));
  std::size_t chunk_bytes = H5Tget_size(type), chunks = 1, slots = 1;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    chunk_bytes *= chunk[i];
    if (i == 0) continue;
    const std::size_t across = (static_cast<std::size_t>(extents[i]) + chunk[i] - 1) / chunk[i];
    chunks *= across;
    slots *= std::bit_ceil(across);  // HDF5's hash is the chunk's coordinates, each in its own bits, modulo the slots
  }
  const std::size_t bytes =
      std::clamp(chunks * chunk_bytes, std::size_t{1} << 20, std::max(largest_cache, chunk_bytes));
  slots = std::clamp(2 * slots + 1, std::size_t{521}, std::size_t{1} << 20);
  // 1.0: a chunk that was read to its end goes first.
  TRIREME_H5(H5Pset_chunk_cache(access, slots, bytes, 1.0), context);
  return access;
}

/// One data set of an open shard, read by rows.
class RowSet {
 public:
  RowSet(const h5::File& file, const std::string& path, const std::string& name, ElementType element, std::int64_t rows,
         const Shape& row, bool single)
      : path_(path), name_(name), rows_(rows), single_(single) {
    const std::string context = path + ":" + name;
    {
      const h5::Dataset plain(TRIREME_H5(H5Dopen2(file, name.c_str(), H5P_DEFAULT), context));
      extents_ = h5::extents(plain, context);
      const h5::Type type(TRIREME_H5(H5Dget_type(plain), context));
      type_ = detail::reading_type(type, element, context);
      access_ = row_access(plain, extents_, context);
    }
    dataset_ = h5::Dataset(TRIREME_H5(H5Dopen2(file, name.c_str(), access_), context));
    space_ = h5::Space(TRIREME_H5(H5Dget_space(dataset_), context));
    row_bytes_ = static_cast<std::size_t>(row.size()) * size_of(element);

    std::int64_t elements = 1;
    for (const std::int64_t extent : extents_) elements *= extent;
    if (elements != rows * row.size())
      throw data_error(
          "shard '{}': data set '{}' now has shape {}; {} rows of {} were there when the run began. "
          "Hint: do not change shards while they are read",
          path, name, Shape{std::span(extents_)}.tuple(), rows, row.tuple());
  }

  void read(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
    if (first < 0 || count < 0 || first + count > rows_ || out.size() != static_cast<std::size_t>(count) * row_bytes_)
      throw internal_error("shard '{}': rows [{}, {}) of '{}' into {} bytes; it has {} rows of {} bytes", path_, first,
                           first + count, name_, out.size(), rows_, row_bytes_);
    if (count == 0) return;
    std::vector<hsize_t> start(extents_.size(), 0), size(extents_.begin(), extents_.end());
    if (!single_) {
      start[0] = static_cast<hsize_t>(first);
      size[0] = static_cast<hsize_t>(count);
      TRIREME_H5(H5Sselect_hyperslab(space_, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr),
                 path_ + ":" + name_);
    }
    // The same rank as in the file: HDF5 then pairs the selections chunk by chunk instead of element by element.
    const h5::Space memory(
        TRIREME_H5(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), path_ + ":" + name_));
    if (H5Dread(dataset_, type_, memory, space_, H5P_DEFAULT, out.data()) < 0)
      throw data_error(
          "shard '{}': rows [{}, {}) of data set '{}' cannot be read: {}. Hint: the file is damaged; copy or make it "
          "again",
          path_, first, first + count, name_, h5::error_stack());
  }

 private:
  std::string path_, name_;
  std::int64_t rows_;
  bool single_;
  std::vector<std::int64_t> extents_;
  std::size_t row_bytes_ = 0;
  h5::Type type_;
  h5::Properties access_;
  h5::Dataset dataset_;
  h5::Space space_;
};

}  // namespace

struct ShardReader::Impl {
  Impl(const ShardInfo& i, const ShardNames& names) : info(i), file(h5::open_file(i.path, "shard", ExitCode::data)) {
    features = std::make_unique<RowSet>(file, info.path, names.features, info.feature_type, info.rows, info.sample,
                                        info.single_sample);
    if (info.has_labels)
      labels = std::make_unique<RowSet>(file, info.path, names.labels, info.label_type, info.rows, info.label,
                                        info.single_sample);
  }
  ShardInfo info;
  h5::File file;
  std::unique_ptr<RowSet> features, labels;
};

ShardReader::ShardReader(const ShardInfo& info, const ShardNames& names) : impl_(std::make_unique<Impl>(info, names)) {}
ShardReader::~ShardReader() = default;
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;

const ShardInfo& ShardReader::info() const { return impl_->info; }

void ShardReader::read_features(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
  impl_->features->read(first, count, out);
}

void ShardReader::read_labels(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
  if (!impl_->labels)
    throw internal_error("shard '{}': labels were asked for, but it was described without", impl_->info.path);
  impl_->labels->read(first, count, out);
}

}  // namespace trireme
