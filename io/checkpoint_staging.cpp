// Assigns the rows of a checkpoint to ranks, and stores them until they are written.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <new>

#include "base/error.hpp"
#include "io/checkpoint_file.hpp"
#include "io/detail/checkpoint_format.hpp"

namespace trireme {

namespace {

/// Rows of each array that this rank writes. Arrays with the same holders are concatenated and split into equal numbers of bytes, rounded to whole
/// rows: each rank writes long contiguous ranges, and all write about the same amount.
std::vector<CheckpointStagingBuffer::Rows> shares(MPI_Comm comm, const std::vector<CheckpointArray>& arrays) {
  int rank = 0, size = 1;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  const std::size_t n = arrays.size(), ranks = static_cast<std::size_t>(size);
  std::vector<char> mine(n), held(n * ranks);
  for (std::size_t k = 0; k < n; ++k) mine[k] = arrays[k].data != nullptr && !arrays[k].divided();
  MPI_Allgather(mine.data(), static_cast<int>(n), MPI_CHAR, held.data(), static_cast<int>(n), MPI_CHAR, comm);

  struct Line {
    std::int64_t bytes = 0, filled = 0;
  };
  std::map<std::string, Line> lines;  // by holders: one character per rank
  std::vector<std::string> holders(n, std::string(ranks, '\0'));
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t r = 0; r < ranks; ++r) holders[k][r] = held[r * n + k];
    const detail::Rows rows(arrays[k].shape, arrays[k].is_double);
    lines[holders[k]].bytes += rows.count * rows.bytes;
  }

  std::vector<std::int64_t> divided(n);  // rows of divided arrays, sum over all ranks
  for (std::size_t k = 0; k < n; ++k) divided[k] = std::max<std::int64_t>(arrays[k].rows, 0);
  MPI_Allreduce(MPI_IN_PLACE, divided.data(), static_cast<int>(n), MPI_INT64_T, MPI_SUM, comm);

  std::vector<CheckpointStagingBuffer::Rows> range(n);
  for (std::size_t k = 0; k < n; ++k) {
    if (arrays[k].divided()) {
      const std::int64_t count = detail::Rows(arrays[k].shape, arrays[k].is_double).count;
      if (divided[k] != count) throw internal_error("checkpoint array '{}': all ranks together have {} of its {} rows", arrays[k].name, divided[k], count);
      range[k].first = arrays[k].first_row;
      range[k].count = arrays[k].rows;
      continue;
    }
    Line& line = lines[holders[k]];
    const detail::Rows rows(arrays[k].shape, arrays[k].is_double);
    const std::int64_t start = line.filled;
    line.filled += rows.count * rows.bytes;
    const std::int64_t parts = std::ranges::count(holders[k], '\1');
    if (rows.count > 0 && parts == 0) throw internal_error("checkpoint array '{}': no rank has its data", arrays[k].name);
    if (rows.count == 0 || mine[k] == 0) continue;
    const std::int64_t part = std::count(holders[k].begin(), holders[k].begin() + rank, '\1');
    // First row that begins at or after the split.
    const auto row_at = [&](std::int64_t p) {
      const std::int64_t cut = line.bytes / parts * p + line.bytes % parts * p / parts;
      return std::clamp((cut - start + rows.bytes - 1) / rows.bytes, std::int64_t{0}, rows.count);
    };
    range[k].first = row_at(part);
    range[k].count = row_at(part + 1) - range[k].first;
  }
  return range;
}

}  // namespace

void CheckpointStagingBuffer::plan(const std::vector<CheckpointArray>& arrays) {
  std::vector<char> held(arrays.size());
  for (std::size_t k = 0; k < arrays.size(); ++k) held[k] = arrays[k].divided() || arrays[k].data != nullptr ? 1 : 0;
  if (rows_.empty()) {
    rows_ = shares(comm_, arrays);
    held_ = held;
    arrays_ = arrays;
    for (auto& array : arrays_) array.data = nullptr;
    return;
  }
  const auto same = [](const CheckpointArray& a, const CheckpointArray& b) {
    return a.name == b.name && a.shape == b.shape && a.is_double == b.is_double && a.first_row == b.first_row && a.rows == b.rows;
  };
  if (held != held_ || !std::ranges::equal(arrays, arrays_, same)) throw internal_error("CheckpointStage: the arrays differ from those of the first call");
}

bool CheckpointStagingBuffer::fills(std::size_t k, const std::vector<CheckpointArray>& arrays) const {
  return arrays[k].divided() && arrays[k].data == nullptr && rows_[k].count > 0;
}

std::int64_t CheckpointStagingBuffer::bytes_of(std::size_t k) const { return rows_[k].count * detail::Rows(arrays_[k].shape, arrays_[k].is_double).bytes; }

void CheckpointStagingBuffer::take(const std::vector<CheckpointArray>& arrays, const FillRows& fill, bool copies) {
  plan(arrays);
  std::int64_t own = 0;
  for (std::size_t k = 0; k < rows_.size(); ++k) {
    if (fills(k, arrays) && !fill) throw internal_error("checkpoint array '{}': rows without data, and no FillRows is given", arrays[k].name);
    if (copies || fills(k, arrays)) own += bytes_of(k);
  }
  reserve(own);
  std::byte* to = memory_.get();
  for (std::size_t k = 0; k < rows_.size(); ++k) {
    if (rows_[k].count == 0) continue;
    const bool filled = fills(k, arrays);
    if (!filled)
      rows_[k].data =
          static_cast<const std::byte*>(arrays[k].data) + (rows_[k].first - arrays[k].first_row) * detail::Rows(arrays[k].shape, arrays[k].is_double).bytes;
    if (!copies && !filled) continue;
    if (!filled) std::memcpy(to, rows_[k].data, static_cast<std::size_t>(bytes_of(k)));
    rows_[k].data = to;
    to += bytes_of(k);
  }
  if (fill) fill([&](std::size_t k) { return fills(k, arrays) ? const_cast<std::byte*>(rows_[k].data) : nullptr; });
}

void CheckpointStagingBuffer::refer(const std::vector<CheckpointArray>& arrays, const FillRows& fill) { take(arrays, fill, false); }

void CheckpointStagingBuffer::copy(const std::vector<CheckpointArray>& arrays, const FillRows& fill) { take(arrays, fill, true); }

void CheckpointStagingBuffer::reserve() { reserve(own_bytes()); }

void CheckpointStagingBuffer::reserve(std::int64_t wanted) {
  if (capacity_ >= wanted) return;
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  const std::size_t bytes = (static_cast<std::size_t>(wanted) + huge_page - 1) / huge_page * huge_page;
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(huge_page, bytes)));
  if (!memory_) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(memory_.get(), bytes, MADV_HUGEPAGE);  // a hint; may fail
#endif
  std::memset(memory_.get(), 0, bytes);
  capacity_ = wanted;
}

std::int64_t CheckpointStagingBuffer::own_bytes() const {
  std::int64_t bytes = 0;
  for (std::size_t k = 0; k < rows_.size(); ++k) bytes += bytes_of(k);
  return bytes;
}

std::int64_t CheckpointStagingBuffer::bytes() const {
  std::int64_t bytes = 0;
  for (const auto& array : arrays_) bytes += array.shape.size() * (array.is_double ? 8 : 4);
  return bytes;
}

}  // namespace trireme
