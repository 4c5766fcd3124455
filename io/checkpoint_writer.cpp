// Writes a checkpoint with all ranks. Rank 0 has HDF5 lay the file out: names, shapes, and a contiguous place for each
// array. Then every rank writes its rows to those places, from its stage, and last rank 0 adds the checksums
// and publishes the name.
//
// Why not through HDF5's MPI driver: its metadata calls are collective, and a rank whose disk is full leaves them with
// an error while the others wait in them for ever. Here only one rank calls HDF5, for the metadata alone, and what each rank writes is the
// same: long runs of one shared file. The file's bytes do not depend on the number of ranks.
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

/// Writes this rank's rows and brings them to the disk; returns their parts of the checksums. Not collective.
std::vector<std::uint64_t> write_rows(const std::string& where, const fs::path& partial, const CheckpointStage& stage, const std::vector<std::int64_t>& offsets) {
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

/// Runs what calls HDF5 where it may be called, and throws here what it throws there.
void call_h5(const CheckpointWriting& how, const std::function<void()>& action) {
  if (how.on_h5_thread) return how.on_h5_thread(action);
  action();
}

void write_and_publish(const detail::Writers& writers, const fs::path& file, const fs::path& partial, const CheckpointStage& stage,
                       const CheckpointContent& content, const CheckpointWriting& how) {
  const std::string where = "checkpoint '" + file.string() + "'";
  const bool first = writers.rank() == 0;
  const std::size_t count = stage.arrays().size();

  std::unique_ptr<detail::CheckpointLayout> layout;
  // HDF5's handles are let go of on its own thread, whatever happens.
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
        const std::string message = fmt::format("{} cannot be brought to the disk: {}", where, error.message());
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

void write_checkpoint(const fs::path& file, const CheckpointStage& stage, const CheckpointContent& content, MPI_Comm comm, const CheckpointWriting& how) {
  const detail::Writers writers(comm, how.abandoned);
  const fs::path partial = detail::partial_name(how.tag.empty() ? file : fs::path(file).concat("." + how.tag));
  for (int tried = 0;; ++tried) {
    try {
      return write_and_publish(writers, file, partial, stage, content, how);
    } catch (const IoError& error) {  // on all ranks
      std::error_code ignored;
      if (writers.rank() == 0) fs::remove(partial, ignored);
      // Whoever took the folder over in the meantime explains a file that is gone better than the file system does.
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
  CheckpointStage stage(comm);
  stage.refer(arrays);
  write_checkpoint(file, stage, content, comm, {});
  return stage.bytes();
}

}  // namespace trireme
