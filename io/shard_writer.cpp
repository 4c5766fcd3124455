// Writes one shard in blocks of rows, with a temporary name until it is complete.
#include <algorithm>

#include "base/error.hpp"
#include "io/detail/durable.hpp"
#include "io/detail/file_writing.hpp"
#include "io/shard.hpp"
#include "io/shard_checksum.hpp"

namespace trireme {

namespace {

constexpr std::int64_t largest_chunk = std::int64_t{1} << 20;  // larger rows are divided, so that a rank that needs a part of them reads little more than that

/// `rows` rows per chunk, or a part of one row if it is large: as many whole planes, lines... as fit.
std::vector<hsize_t> chunk_extents(const std::vector<hsize_t>& extents, std::int64_t rows, std::size_t row_bytes) {
  std::vector<hsize_t> chunk = extents;
  const auto most = static_cast<hsize_t>(largest_chunk);
  hsize_t bytes = std::max<hsize_t>(row_bytes, 1);
  chunk[0] = std::clamp<hsize_t>(std::min(static_cast<hsize_t>(rows), most / bytes), 1, extents[0]);
  for (std::size_t d = 1; d < chunk.size() && bytes > most; ++d) {
    const hsize_t inner = bytes / extents[d], pieces = (extents[d] + std::max<hsize_t>(most / inner, 1) - 1) / std::max<hsize_t>(most / inner, 1);
    chunk[d] = (extents[d] + pieces - 1) / pieces;  // about equal sizes, because the last chunk is stored at full size
    bytes = inner * chunk[d];
  }
  return chunk;
}

}  // namespace

struct ShardWriter::Impl {
  struct RowSet {
    h5::Dataset dataset;
    h5::Space space;
    h5::Type type;
    std::vector<hsize_t> extents;
    std::size_t row_bytes = 0;
    h5::Attribute stored;  // the checksum, written at the end
    std::uint64_t checksum = 0;
  };

  Impl(const std::filesystem::path& path, std::int64_t all_rows, const Options& o)
      : file_path(path), partial(detail::partial_name(path)), rows(all_rows), options(o) {}

  void open() {
    const std::string where = "shard '" + file_path.string() + "'";
    h5::quiet();
    const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_FILE_CREATE), where));
    const h5::Properties access(TRIREME_H5(H5Pcreate(H5P_FILE_ACCESS), where));
    // Since version 1.10 HDF5 stores checksums of all metadata, including the index of chunks.
    if (options.checksums) TRIREME_H5(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_LATEST), where);
    file = detail::create_file(partial, status, creation, access, where, ExitCode::data);
    features = create(options.names.features, options.sample, options.feature_type, options.chunk_rows);
    if (options.has_labels) labels = create(options.names.labels, options.label, options.label_type, std::max(options.chunk_rows, options.label_chunk_rows));
  }

  ~Impl() {
    if (finished) return;
    features = RowSet{};
    labels = RowSet{};
    file = h5::File{};
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
  }

  std::string context(const std::string& name) const { return "shard '" + file_path.string() + "', data set '" + name + "'"; }

  RowSet create(const std::string& name, const Shape& row, ElementType element, std::int64_t chunk_rows) const {
    const std::string where = context(name);
    RowSet set;
    set.row_bytes = static_cast<std::size_t>(row.size()) * size_of(element);
    set.extents.push_back(static_cast<hsize_t>(rows));
    for (const std::int64_t extent : row.span()) set.extents.push_back(static_cast<hsize_t>(extent));
    set.type = h5::Type(TRIREME_H5(H5Tcopy(memory_type(element)), where));
    set.space = h5::Space(TRIREME_H5(H5Screate_simple(static_cast<int>(set.extents.size()), set.extents.data(), nullptr), where));
    const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), where));
    const h5::Properties access(TRIREME_H5(H5Pcreate(H5P_DATASET_ACCESS), where));
    const h5::Properties link(TRIREME_H5(H5Pcreate(H5P_LINK_CREATE), where));
    TRIREME_H5(H5Pset_create_intermediate_group(link, 1), where);
    const bool chunked = options.gzip > 0 || (options.checksums && options.chunk_rows > 0);
    if (chunked && rows > 0) {
      const std::vector<hsize_t> chunk = chunk_extents(set.extents, chunk_rows, set.row_bytes);
      TRIREME_H5(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), where);
      if (options.gzip > 0) {
        TRIREME_H5(H5Pset_shuffle(creation), where);
        TRIREME_H5(H5Pset_deflate(creation, static_cast<unsigned>(std::min(options.gzip, 9))), where);
      }
      if (options.checksums) TRIREME_H5(H5Pset_fletcher32(creation), where);
      // Otherwise blocks shorter than a chunk would compress and decompress the chunk for each of them.
      const std::size_t rows_of_chunks = static_cast<std::size_t>(chunk[0]) * set.row_bytes;
      TRIREME_H5(H5Pset_chunk_cache(access, 521, std::max(rows_of_chunks + rows_of_chunks / 2, std::size_t{1} << 20), 1.0), where);
    } else {
      TRIREME_H5(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), where);
    }
    set.dataset = h5::Dataset(TRIREME_H5(H5Dcreate2(file, name.c_str(), set.type, set.space, link, creation, access), where));
    if (options.checksums) {
      const h5::Space one(TRIREME_H5(H5Screate(H5S_SCALAR), where));
      set.stored = h5::Attribute(TRIREME_H5(H5Acreate2(set.dataset, shard_checksum_attribute, H5T_STD_U64LE, one, H5P_DEFAULT, H5P_DEFAULT), where));
    }
    return set;
  }

  void write(RowSet& set, const std::string& name, std::int64_t count, const std::byte* bytes) const {
    const std::string where = context(name);
    std::vector<hsize_t> start(set.extents.size(), 0), size = set.extents;
    start[0] = static_cast<hsize_t>(written);
    size[0] = static_cast<hsize_t>(count);
    TRIREME_H5(H5Sselect_hyperslab(set.space, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr), where);
    const h5::Space memory(TRIREME_H5(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), where));
    TRIREME_H5(H5Dwrite(set.dataset, set.type, memory, set.space, H5P_DEFAULT, bytes), where);
    if (options.checksums) set.checksum += checksum_of_rows(bytes, written, count, static_cast<std::int64_t>(set.row_bytes));
    status.check(where, ExitCode::data);
  }

  std::filesystem::path file_path, partial;
  std::int64_t rows, written = 0;
  Options options;
  detail::WriteStatus status;  // must outlive the file
  h5::File file;
  RowSet features, labels;
  bool finished = false;
};

ShardWriter::ShardWriter(const std::filesystem::path& path, std::int64_t rows, const Options& options) : impl_(std::make_unique<Impl>(path, rows, options)) {
  impl_->open();
}
ShardWriter::~ShardWriter() = default;

void ShardWriter::append(std::span<const std::byte> features, std::span<const std::byte> labels) {
  Impl& shard = *impl_;
  const auto count = static_cast<std::int64_t>(features.size() / shard.features.row_bytes);
  const std::size_t label_bytes = shard.options.has_labels ? static_cast<std::size_t>(count) * shard.labels.row_bytes : 0;
  if (features.size() % shard.features.row_bytes != 0 || labels.size() != label_bytes || shard.written + count > shard.rows)
    throw internal_error("shard '{}': {} bytes of features and {} bytes of labels were appended after {} of {} rows of {} and {} bytes",
                         shard.file_path.string(), features.size(), labels.size(), shard.written, shard.rows, shard.features.row_bytes, shard.labels.row_bytes);
  if (count == 0) return;
  shard.write(shard.features, shard.options.names.features, count, features.data());
  if (shard.options.has_labels) shard.write(shard.labels, shard.options.names.labels, count, labels.data());
  shard.written += count;
}

void ShardWriter::finish() {
  Impl& shard = *impl_;
  const std::string where = "shard '" + shard.file_path.string() + "'";
  if (shard.written != shard.rows) throw internal_error("{}: expected {} rows, but {} were appended", where, shard.rows, shard.written);
  for (Impl::RowSet* const set : {&shard.features, &shard.labels}) {
    if (set->stored) TRIREME_H5(H5Awrite(set->stored, H5T_NATIVE_UINT64, &set->checksum), where);
    set->stored.close(where);
    set->dataset.close(where);
  }
  shard.file.close(where);
  shard.status.check(where, ExitCode::data);
  std::error_code error = detail::sync_to_disk(shard.partial);
  if (!error) error = detail::publish(shard.partial, shard.file_path);
  if (error) throw data_error("{} cannot be flushed to disk: {}", where, error.message());
  shard.finished = true;
}

}  // namespace trireme
