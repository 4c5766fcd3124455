// Creates HDF5 files on disks that may become full.
//
// HDF5 cannot close a file if writing its metadata fails: the close fails, and the library crashes when the program ends (or, with its MPI driver,
// some ranks wait forever for others that left with an error). So files are written through a small file driver. It stores the first error of the
// operating system, reports success to HDF5, and reports the error to the caller.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "io/h5.hpp"

namespace trireme::detail {

/// errno of the first failed system call for a file, or 0. Must outlive the file.
struct WriteStatus {
  int error = 0;

  /// Throws "{context} cannot be written: No space left on device. Hint: ..." if any call failed so far.
  void check(const std::string& context, ExitCode code) const;
};

/// Creates `path` (replacing its content) with the given creation and access properties (this function sets the driver). Throws a `code` error that
/// begins with `context`.
h5::File create_file(const std::filesystem::path& path, WriteStatus& status, const h5::Properties& creation, const h5::Properties& access,
                     const std::string& context, ExitCode code);

/// Writes all `size` bytes at `offset`, also if the system writes them in parts. Returns 0 or errno.
int write_fully(int descriptor, const void* data, std::size_t size, std::int64_t offset);

}  // namespace trireme::detail
