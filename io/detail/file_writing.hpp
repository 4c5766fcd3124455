// Creating HDF5 files on disks that may fill up.
//
// HDF5 cannot let go of a file whose metadata it could not write: the close fails, and the library crashes when the
// program ends (or, with its MPI driver, some ranks wait for ever for others that left with an error). So our files are
// written through a small driver of our own, which keeps the first failure of the operating system to itself, tells
// HDF5 that all is well, and tells us.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "io/h5.hpp"

namespace trireme::detail {

/// The first system call that failed for a file, or 0. Must outlive the file.
struct WriteStatus {
  int error = 0;

  /// Throws "{context} cannot be written: No space left on device. Hint: ..." if something failed so far.
  void check(const std::string& context, ExitCode code) const;
};

/// Creates `path` (truncates what is there) with the given creation and access properties (the driver is set here).
/// Throws a `code` error that begins with `context`.
h5::File create_file(const std::filesystem::path& path, WriteStatus& status, const h5::Properties& creation,
                     const h5::Properties& access, const std::string& context, ExitCode code);

/// Writes all of `size` bytes at `offset`, again and again where the system takes only a part. Returns 0 or errno.
int write_fully(int descriptor, const void* data, std::size_t size, std::int64_t offset);

}  // namespace trireme::detail
