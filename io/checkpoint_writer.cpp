// Writes a checkpoint with all ranks. Rank 0 creates the layout of the file through HDF5: names, shapes, and a contiguous range for each array. Then
// every rank writes its rows from its stage into these ranges. Finally rank 0 adds the checksums and renames the file.
//
// Why not HDF5's MPI driver: its metadata calls are collective, and a rank whose disk is full leaves them with an error while the others wait in them
// forever. Here only one rank calls HDF5, and only for metadata. Each rank writes the same data as with the driver: long ranges of one shared file.
// The bytes of the file do not depend on the number of ranks.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <system_error>

#include "base/error.hpp"
#include "io/checkpoint_file.hpp"
#include "io/detail/checkpoint_format.hpp"
#include "io/detail/checkpoint_layout.hpp"
#include "io/detail/durable.hpp"
#include "io/detail/writers.hpp"
#include "io/retry.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

/// Writes this rank's rows and flushes them to disk; returns their contributions to the checksums. Not collective.
std::vector<std::uint64_t> write_rows(const std::string& where, const fs::path& partial, const CheckpointStagingBuffer& stage,
                                      const std::vector<std::int64_t>& offsets) {
  const auto& arrays = stage.arrays();
  std::vector<std::uint64_t> sums(arrays.size(), 0);
  detail::WriteStatus status;
  const int descriptor = ::open(partial.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) status.error = errno;
  for (std::size_t k = 0; k < arrays.size() && status.error == 0; ++k) {
    const detail::Rows rows(arrays[k].shape, arrays[k].is_double);
    const auto& own = stage.rows()[k];
    for (std::int64_t done = 0; done < own.count && status.error == 0; done += rows.per_piece) {
      const std::int64_t count = std::min(rows.per_piece, own.count - done), first = own.first + done;
      const std::byte* const data = own.data + done * rows.bytes;
      sums[k] += detail::checksum(data, first, count, rows.bytes);
      status.error = detail::write_fully(descriptor, data, static_cast<std::size_t>(count * rows.bytes), offsets[k] + first * rows.bytes);
    }
  }
  if (status.error == 0 && ::fsync(descriptor) != 0) status.error = errno;
  if (descriptor >= 0 && ::close(descriptor) != 0 && status.error == 0) status.error = errno;
  status.check(where, ExitCode::checkpoint);
  return sums;
}

/// Runs HDF5 calls on the thread that may make them, and rethrows their exceptions here.
void call_h5(const CheckpointWriting& how, const std::function<void()>& action) {
  if (how.on_h5_thread) return how.on_h5_thread(action);
  action();
}

void write_and_publish(const detail::Writers& writers, const fs::path& file, const fs::path& partial, const CheckpointStagingBuffer& stage,
                       const CheckpointContent& content, const CheckpointWriting& how) {
  const std::string where = "checkpoint '" + file.string() + "'";
  const bool first = writers.rank() == 0;
  const std::size_t count = stage.arrays().size();

  std::unique_ptr<detail::CheckpointLayout> layout;
  // HDF5 handles are always released on HDF5's thread.
  const auto release = [&] {
    if (layout) call_h5(how, [&] { layout.reset(); });
  };
  try {
    std::vector<std::int64_t> offsets(count);
    writers.together([&] {
      if (!first) return;
      if (how.permission) how.permission();
      call_h5(how, [&] {
        layout = std::make_unique<detail::CheckpointLayout>(where, partial);
        layout->write_content(content, count);
        offsets = layout->place(stage.arrays());
      });
    });
    writers.broadcast(offsets);

    std::vector<std::uint64_t> sums(count);
    writers.together([&] { sums = write_rows(where, partial, stage, offsets); });
    writers.sum(sums);

    writers.together([&] {
      if (!first) return;
      call_h5(how, [&] { layout->finish(sums); });
      std::error_code error = detail::sync_to_disk(partial);
      if (!error && how.permission) how.permission();
      if (!error) error = detail::publish(partial, file);
      if (error) {
        const std::string message = fmt::format("{} cannot be flushed to disk: {}", where, error.message());
        throw IoError(ExitCode::checkpoint, message, error.value());
      }
    });
  } catch (...) {
    release();
    throw;
  }
  release();
}

}  // namespace

void write_checkpoint(const fs::path& file, const CheckpointStagingBuffer& stage, const CheckpointContent& content, MPI_Comm comm,
                      const CheckpointWriting& how) {
  const detail::Writers writers(comm, how.abandoned);
  const fs::path partial = detail::partial_name(how.tag.empty() ? file : fs::path(file).concat("." + how.tag));
  for (int tried = 0;; ++tried) {
    try {
      return write_and_publish(writers, file, partial, stage, content, how);
    } catch (const IoError& error) {  // on all ranks
      std::error_code ignored;
      if (writers.rank() == 0) fs::remove(partial, ignored);
      // If another run took over the folder in the meantime, its error explains a missing file better than that of the file system.
      writers.together([&] {
        if (writers.rank() != 0 || !how.permission || error.code() != ExitCode::checkpoint) return;
        try {
          how.permission();
        } catch (const IoError&) {
        }
      });
      if (tried >= how.retries || !error.may_pass()) throw;
      wait_to_retry(error, tried, how.retries, writers.rank() == 0);
    }
  }
}

std::int64_t write_checkpoint(const fs::path& file, const std::vector<CheckpointArray>& arrays, const CheckpointContent& content, MPI_Comm comm) {
  CheckpointStagingBuffer stage(comm);
  stage.refer(arrays);
  write_checkpoint(file, stage, content, comm, {});
  return stage.bytes();
}

}  // namespace trireme
