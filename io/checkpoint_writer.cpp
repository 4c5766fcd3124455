// Writes a checkpoint with all ranks. Rank 0 has HDF5 lay the file out: names, shapes, and a contiguous place for each
// array. Then every rank writes its rows to those places, from the caller's memory, and last rank 0 adds the checksums
// and publishes the name.
//
// Why not through HDF5's MPI driver: its metadata calls are collective, and a rank whose disk is full leaves them with
// an error while the others wait in them for ever. Here only one rank calls HDF5, and what each rank writes is the
// same: long runs of one shared file. The file's bytes do not depend on the number of ranks.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "io/checkpoint_file.hpp"
#include "io/detail/checkpoint_format.hpp"
#include "io/detail/durable.hpp"
#include "io/detail/file_writing.hpp"
#include "io/h5.hpp"

#define TRIREME_H5_WRITE(call, context) TRIREME_H5_AS(ExitCode::checkpoint, call, context)

namespace trireme {

namespace fs = std::filesystem;

namespace {

/// The ranks that write, and how they agree on an error: io/ stands below comm/ and has no Communicator.
class Writers {
 public:
  explicit Writers(MPI_Comm comm) : comm_(comm) {
    MPI_Comm_rank(comm, &rank_);
    MPI_Comm_size(comm, &size_);
  }
  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm comm() const { return comm_; }

  /// Runs `action` on every rank; if it throws on any, all throw a checkpoint error with the words of the lowest such
  /// rank.
  void together(const std::function<void()>& action) const {
    std::string message;
    int failed = size_;
    try {
      action();
    } catch (const std::exception& error) {
      message = error.what();
      failed = rank_;
    }
    int first = size_;
    MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, comm_);
    if (first == size_) return;
    broadcast(message, first);
    throw Error(ExitCode::checkpoint, message);
  }

 private:
  void broadcast(std::string& text, int root) const {
    auto size = static_cast<std::int64_t>(text.size());
    MPI_Bcast(&size, 1, MPI_INT64_T, root, comm_);
    text.resize(static_cast<std::size_t>(size));
    MPI_Bcast(text.data(), static_cast<int>(size), MPI_CHAR, root, comm_);
  }

  MPI_Comm comm_;
  int rank_ = 0, size_ = 1;
};

struct RowRange {
  std::int64_t first = 0, count = 0;
};

/// Which rows of each array this rank writes. The arrays that the same ranks hold are laid end to end and cut at equal
/// bytes, to whole rows: each rank writes long runs, and all write about the same.
std::vector<RowRange> shares(const Writers& writers, const std::vector<CheckpointArray>& arrays) {
  const std::size_t n = arrays.size(), ranks = static_cast<std::size_t>(writers.size());
  std::vector<char> mine(n), held(n * ranks);
  for (std::size_t k = 0; k < n; ++k) mine[k] = arrays[k].data != nullptr;
  MPI_Allgather(mine.data(), static_cast<int>(n), MPI_CHAR, held.data(), static_cast<int>(n), MPI_CHAR, writers.comm());

  struct Line {
    std::int64_t bytes = 0, filled = 0;
  };
  std::map<std::string, Line> lines;  // by holders: one character a rank
  std::vector<std::string> holders(n, std::string(ranks, '\0'));
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t r = 0; r < ranks; ++r) holders[k][r] = held[r * n + k];
    const detail::Rows rows(arrays[k].shape, arrays[k].is_double);
    lines[holders[k]].bytes += rows.count * rows.bytes;
  }

  std::vector<RowRange> range(n);
  for (std::size_t k = 0; k < n; ++k) {
    Line& line = lines[holders[k]];
    const detail::Rows rows(arrays[k].shape, arrays[k].is_double);
    const std::int64_t start = line.filled;
    line.filled += rows.count * rows.bytes;
    const std::int64_t parts = std::ranges::count(holders[k], '\1');
    if (rows.count > 0 && parts == 0)
      throw internal_error("checkpoint array '{}': no rank has its data", arrays[k].name);
    if (rows.count == 0 || mine[k] == 0) continue;
    const std::int64_t part = std::count(holders[k].begin(), holders[k].begin() + writers.rank(), '\1');
    // First row that begins at or after the cut.
    const auto row_at = [&](std::int64_t p) {
      const std::int64_t cut = line.bytes / parts * p + line.bytes % parts * p / parts;
      return std::clamp((cut - start + rows.bytes - 1) / rows.bytes, std::int64_t{0}, rows.count);
    };
    range[k].first = row_at(part);
    range[k].count = row_at(part + 1) - range[k].first;
  }
  return range;
}

/// The file as rank 0 lays it out under its temporary name.
class Layout {
 public:
  Layout(std::string where, const fs::path& partial) : where_(std::move(where)) {
    h5::quiet();
    const h5::Properties creation(TRIREME_H5_WRITE(H5Pcreate(H5P_FILE_CREATE), where_));
    const h5::Properties access(TRIREME_H5_WRITE(H5Pcreate(H5P_FILE_ACCESS), where_));
    // The same content gives the same bytes: no times of day.
    TRIREME_H5_WRITE(H5Pset_obj_track_times(creation, false), where_);
    // From 1.8 on HDF5 gives its metadata checksums: a flipped bit in a name or a step is detected as well.
    TRIREME_H5_WRITE(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST), where_);
    TRIREME_H5_WRITE(H5Pset_alignment(access, 4 << 20, 1 << 20), where_);
    TRIREME_H5_WRITE(H5Pset_meta_block_size(access, 64 << 10), where_);
    file_ = detail::create_file(partial, status_, creation, access, where_, ExitCode::checkpoint);
  }

  void write_content(const CheckpointContent& content, std::size_t arrays) {
    attribute<std::int64_t>(file_, detail::version_attribute, H5T_STD_I64LE, checkpoint_format_version);
    attribute<std::int64_t>(file_, detail::count_attribute, H5T_STD_I64LE, static_cast<std::int64_t>(arrays));
    const h5::Space one(TRIREME_H5_WRITE(H5Screate(H5S_SCALAR), where_));
    {
      const std::string program = detail::checkpoint_program;
      const h5::Type type = text_type(program.size());
      const h5::Attribute made(
          TRIREME_H5_WRITE(H5Acreate2(file_, detail::program_attribute, type, one, H5P_DEFAULT, H5P_DEFAULT), where_));
      TRIREME_H5_WRITE(H5Awrite(made, type, program.data()), where_);
    }
    group("model");
    group("optimizer");
    const h5::Group progress = group("progress");
    for (const auto& [name, value] : content.integers) attribute(progress, name.c_str(), H5T_STD_I64LE, value);
    for (const auto& [name, value] : content.reals) attribute(progress, name.c_str(), H5T_IEEE_F64LE, value);

    const h5::Type type = text_type(std::max<std::size_t>(content.deck.size(), 1));
    const h5::Dataset deck(data_set("deck", type, one));
    attribute(deck, detail::checksum_attribute, H5T_STD_U64LE,
              detail::checksum(reinterpret_cast<const std::byte*>(content.deck.data()), 0, 1,
                               static_cast<std::int64_t>(content.deck.size())));
    TRIREME_H5_WRITE(H5Dwrite(deck, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, content.deck.c_str()), where_);
  }

  /// Makes room for the arrays; returns where in the file each begins.
  std::vector<std::int64_t> place(const std::vector<CheckpointArray>& arrays) {
    std::vector<std::int64_t> offsets;
    for (const auto& array : arrays) {
      for (auto at = array.name.find('/'); at != std::string::npos; at = array.name.find('/', at + 1))
        if (const std::string parent = array.name.substr(0, at); H5Lexists(file_, parent.c_str(), H5P_DEFAULT) <= 0)
          group(parent);
      const std::vector<hsize_t> extents(array.shape.span().begin(), array.shape.span().end());
      const h5::Space space(
          TRIREME_H5_WRITE(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), where_));
      datasets_.push_back(data_set(array.name, array.is_double ? H5T_IEEE_F64LE : H5T_IEEE_F32LE, space));
      const haddr_t offset = array.shape.size() == 0 ? 0 : H5Dget_offset(datasets_.back());
      if (offset == HADDR_UNDEF) h5::throw_failure("H5Dget_offset", where_, ExitCode::checkpoint);
      offsets.push_back(static_cast<std::int64_t>(offset));
      // The attribute takes its place now, its value comes when the rows have been hashed.
      attribute(datasets_.back(), detail::checksum_attribute, H5T_STD_U64LE, std::uint64_t{0});
    }
    status_.check(where_, ExitCode::checkpoint);
    return offsets;
  }

  void finish(const std::vector<std::uint64_t>& checksums) {
    for (std::size_t k = 0; k < checksums.size(); ++k) {
      const h5::Attribute made(
          TRIREME_H5_WRITE(H5Aopen(datasets_[k], detail::checksum_attribute, H5P_DEFAULT), where_));
      TRIREME_H5_WRITE(H5Awrite(made, h5::native_type<std::uint64_t>(), &checksums[k]), where_);
    }
    datasets_.clear();
    file_.close(where_);
    status_.check(where_, ExitCode::checkpoint);
  }

 private:
  template <class T>
  void attribute(hid_t object, const char* name, hid_t stored, T value) const {
    const h5::Space one(TRIREME_H5_WRITE(H5Screate(H5S_SCALAR), where_));
    const h5::Attribute made(TRIREME_H5_WRITE(H5Acreate2(object, name, stored, one, H5P_DEFAULT, H5P_DEFAULT), where_));
    TRIREME_H5_WRITE(H5Awrite(made, h5::native_type<T>(), &value), where_);
  }

  h5::Group group(const std::string& name) const {
    const h5::Properties creation(TRIREME_H5_WRITE(H5Pcreate(H5P_GROUP_CREATE), where_));
    TRIREME_H5_WRITE(H5Pset_obj_track_times(creation, false), where_);
    return h5::Group(TRIREME_H5_WRITE(H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), where_));
  }

  h5::Dataset data_set(const std::string& name, hid_t type, const h5::Space& space) const {
    const h5::Properties creation(TRIREME_H5_WRITE(H5Pcreate(H5P_DATASET_CREATE), where_));
    TRIREME_H5_WRITE(H5Pset_obj_track_times(creation, false), where_);
    TRIREME_H5_WRITE(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), where_);
    TRIREME_H5_WRITE(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), where_);
    return h5::Dataset(
        TRIREME_H5_WRITE(H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                         where_ + ", '/" + name + "'"));
  }

  h5::Type text_type(std::size_t size) const {
    h5::Type type(TRIREME_H5_WRITE(H5Tcopy(H5T_C_S1), where_));
    TRIREME_H5_WRITE(H5Tset_size(type, size), where_);
    TRIREME_H5_WRITE(H5Tset_strpad(type, H5T_STR_NULLPAD), where_);
    TRIREME_H5_WRITE(H5Tset_cset(type, H5T_CSET_UTF8), where_);
    return type;
  }

  std::string where_;
  detail::WriteStatus status_;  // outlives the file
  h5::File file_;
  std::vector<h5::Dataset> datasets_;
};

/// Writes this rank's rows and brings them to the disk; returns their parts of the checksums. Not collective.
std::vector<std::uint64_t> write_rows(const std::string& where, const fs::path& partial,
                                      const std::vector<CheckpointArray>& arrays, const std::vector<RowRange>& ranges,
                                      const std::vector<std::int64_t>& offsets) {
  std::vector<std::uint64_t> sums(arrays.size(), 0);
  detail::WriteStatus status;
  const int descriptor = ::open(partial.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) status.error = errno;
  for (std::size_t k = 0; k < arrays.size() && status.error == 0; ++k) {
    const detail::Rows rows(arrays[k].shape, arrays[k].is_double);
    const std::int64_t end = ranges[k].first + ranges[k].count;
    for (std::int64_t first = ranges[k].first; first < end && status.error == 0; first += rows.per_piece) {
      const std::int64_t count = std::min(rows.per_piece, end - first), at = first * rows.bytes;
      const auto* const data = static_cast<const std::byte*>(arrays[k].data) + at;
      sums[k] += detail::checksum(data, first, count, rows.bytes);
      status.error =
          detail::write_fully(descriptor, data, static_cast<std::size_t>(count * rows.bytes), offsets[k] + at);
    }
  }
  if (status.error == 0 && ::fsync(descriptor) != 0) status.error = errno;
  if (descriptor >= 0 && ::close(descriptor) != 0 && status.error == 0) status.error = errno;
  status.check(where, ExitCode::checkpoint);
  return sums;
}

void write_and_publish(const Writers& writers, const fs::path& file, const fs::path& partial,
                       const std::vector<CheckpointArray>& arrays, const CheckpointContent& content) {
  const std::string where = "checkpoint '" + file.string() + "'";
  const bool first = writers.rank() == 0;
  const std::vector<RowRange> ranges = shares(writers, arrays);

  std::unique_ptr<Layout> layout;
  std::vector<std::int64_t> offsets(arrays.size());
  writers.together([&] {
    if (!first) return;
    layout = std::make_unique<Layout>(where, partial);
    layout->write_content(content, arrays.size());
    offsets = layout->place(arrays);
  });
  MPI_Bcast(offsets.data(), static_cast<int>(offsets.size()), MPI_INT64_T, 0, writers.comm());

  std::vector<std::uint64_t> sums(arrays.size());
  writers.together([&] { sums = write_rows(where, partial, arrays, ranges, offsets); });
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), static_cast<int>(sums.size()), MPI_UINT64_T, MPI_SUM, writers.comm());

  writers.together([&] {
    if (!first) return;
    layout->finish(sums);
    std::error_code error = detail::sync_to_disk(partial);
    if (!error) error = detail::publish(partial, file);
    if (error) throw checkpoint_error("{} cannot be brought to the disk: {}", where, error.message());
  });
}

}  // namespace

std::int64_t write_checkpoint(const fs::path& file, const std::vector<CheckpointArray>& arrays,
                              const CheckpointContent& content, MPI_Comm comm) {
  const Writers writers(comm);
  const fs::path partial = detail::partial_name(file);
  try {
    write_and_publish(writers, file, partial, arrays, content);
  } catch (const Error&) {  // on all ranks
    std::error_code ignored;
    if (writers.rank() == 0) fs::remove(partial, ignored);
    throw;
  }
  std::int64_t bytes = 0;
  for (const auto& array : arrays) bytes += array.shape.size() * (array.is_double ? 8 : 4);
  return bytes;
}

}  // namespace trireme
