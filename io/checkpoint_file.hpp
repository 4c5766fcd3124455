// The checkpoint: one self-describing HDF5 file written by all ranks, under a temporary name until it is whole.
//
//   /model/<parameter>              global arrays, PyTorch's names and layouts
//   /optimizer/<state>/<parameter>  the same shapes
//   /ema/<parameter>                the same shapes; only where the run averages its parameters
//   /progress                       a group whose attributes are the integers and reals of the run's progress
//   /deck                           the resolved deck, a fixed-length UTF-8 string, with a checksum as if it were an array of one row
//   attributes of the root: format_version (1), program "trireme", arrays (how many there are below /model, /optimizer and /ema)
//   each array's attribute `checksum`: sum over its rows i (dimension 0) of XXH3-64(bytes of row i, little-endian; seed i),
//   modulo 2^64. A sum of rows, so that any split over ranks can make it.
//
// The file's bytes are a function of arrays and content alone, not of the number of ranks or the time of day. Its metadata carry HDF5's
// own checksums (object headers of HDF5 1.8), so that a flipped bit anywhere in the file is detected or lies where nothing is stored.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/shape.hpp"

namespace trireme {

inline constexpr int checkpoint_format_version = 1;

/// An array as it goes into the file. All ranks give the same arrays in the same order. `data` is the whole array on every rank that
/// holds it, and null on the others; those that hold it write a share each. Elements are float or double (`is_double`).
/// Or each rank holds rows of its own (`rows` >= 0, on all ranks): `data` is row `first_row`, and these rows are this rank's to write.
struct CheckpointArray {
  std::string name;  // "model/conv1.weight"
  Shape shape;
  bool is_double = false;
  const void* data = nullptr;
  std::int64_t first_row = 0, rows = -1;  // -1: all, where there is data

  bool divided() const { return rows >= 0; }
};

struct CheckpointContent {
  std::string deck;
  std::map<std::string, std::int64_t> integers;  // progress: "step", "epoch", "sample", "seed"...
  std::map<std::string, double> reals;
};

/// What this rank writes of a checkpoint: rows of some of its arrays, so that all ranks that hold an array write about the same.
class CheckpointStage {
 public:
  /// `comm`: the ranks that write together; it outlives the first refer() or copy().
  explicit CheckpointStage(MPI_Comm comm) : comm_(comm) {}

  // Both are collective at their first call, which decides who writes which rows, and not afterwards: the same arrays, held by the same ranks, must
  // come again. Internal errors say what broke that.
  /// Rows lie where the caller has them, and must stay as they are until they are written.
  void refer(const std::vector<CheckpointArray>& arrays);
  /// Rows are copied into memory of the stage's own.
  void copy(const std::vector<CheckpointArray>& arrays);

  /// Makes that memory, after a first refer(): pages that are touched for the first time cost several times the copy. Not collective; any thread, while no
  /// other function runs.
  void reserve();

  struct Rows {
    std::int64_t first = 0, count = 0;
    const std::byte* data = nullptr;  // of row `first`
  };
  const std::vector<CheckpointArray>& arrays() const { return arrays_; }  // without data
  const std::vector<Rows>& rows() const { return rows_; }
  /// What this rank writes; of all arrays together.
  std::int64_t own_bytes() const;
  std::int64_t bytes() const;

 private:
  void take(const std::vector<CheckpointArray>& arrays);

  MPI_Comm comm_;
  std::vector<CheckpointArray> arrays_;
  std::vector<char> held_;
  std::vector<Rows> rows_;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::int64_t capacity_ = 0;
};

/// How a checkpoint is written.
struct CheckpointWriting {
  /// Part of the temporary name, so that two writers never share a file: .step-00000012.h5.TAG.partial.
  std::string tag = {};
  /// Called on rank 0 before the file is made and again before it gets its name; what it throws ends the writing.
  std::function<void()> permission = {};
  /// Runs what calls HDF5, on the thread that does so for this rank; empty: the calling thread.
  std::function<void(const std::function<void()>&)> on_h5_thread = {};
  /// Errors that may pass (IoError::may_pass) are met by writing the whole file again so many times, after 0.2 s, 0.4 s, 0.8 s...: after an fsync that
  /// failed nobody knows which pages reached the disk.
  int retries = 0;
  /// Once true, waits for other ranks end with an error.
  const std::atomic<bool>* abandoned = nullptr;
};

/// Writes `file` in parallel: temporary name in the same folder, fsync by every rank, close, rename by rank 0, fsync of the folder.
/// Collective over `comm`, whose ranks are those of the stage; `content` is taken from rank 0. The folder must exist. Either the file stands whole under
/// its name on return, or every rank throws the same checkpoint error (IoError where the operating system said why) and what stood before still stands.
void write_checkpoint(const std::filesystem::path& file, const CheckpointStage& stage, const CheckpointContent& content, MPI_Comm comm,
                      const CheckpointWriting& how);
/// The same from the caller's memory. Returns the bytes of the arrays.
std::int64_t write_checkpoint(const std::filesystem::path& file, const std::vector<CheckpointArray>& arrays,
                              const CheckpointContent& content, MPI_Comm comm);

/// Reads a checkpoint on one rank. Not collective.
class CheckpointReader {
 public:
  /// Opens and reads all but the arrays. Throws a checkpoint error: not there, not HDF5, truncated, other format version...
  explicit CheckpointReader(const std::filesystem::path& file);
  ~CheckpointReader();

  struct ArrayInfo {
    std::string name;
    Shape shape;
    bool is_double;
    std::int64_t bytes;
  };
  const CheckpointContent& content() const;
  const std::vector<ArrayInfo>& arrays() const;  // sorted by name
  bool has(const std::string& name) const;
  /// Reads one array, converted to the type asked for, after checking its checksum. A mismatch is a checkpoint error that names it.
  void read(const std::string& name, float* out, std::int64_t size) const;
  void read(const std::string& name, double* out, std::int64_t size) const;
  /// Reads and checks every array; returns the names of the damaged ones.
  std::vector<std::string> verify() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// checkpoints/step-00001234.h5 files of a run directory (or of a folder of checkpoints), newest (highest step) first. None where there is no such folder. A
/// folder that cannot be listed (EIO, ESTALE, EACCES...) is tried again, then an IoError of code checkpoint: never the same as one that holds none.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& run_directory);
std::filesystem::path checkpoint_path(const std::filesystem::path& run_directory, std::int64_t step);
/// The step that such a file's name tells; -1: it is no checkpoint's name.
std::int64_t checkpoint_step(const std::filesystem::path& file);
/// Removes what writers that are no more left half done in a folder of checkpoints. One that still lives finds its file gone, and cannot give it a name.
/// What cannot be removed is left.
void remove_unfinished_checkpoints(const std::filesystem::path& folder);

}  // namespace trireme
