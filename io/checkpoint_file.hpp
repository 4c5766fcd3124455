// Checkpoints: one self-describing HDF5 file that all ranks write, with a temporary name until it is complete.
//
//   /model/<parameter>              global arrays, names and layouts as in PyTorch
//   /optimizer/<state>/<parameter>  the same shapes
//   /ema/<parameter>                the same shapes; only with train.ema
//   /progress                       a group; its attributes are the integers and reals of the run's progress
//   /deck                           the resolved deck: a fixed-length UTF-8 string, with a checksum like that of an array of one row
//   attributes of the root: format_version (1), program "trireme", arrays (their number in /model, /optimizer and /ema)
//   attribute `checksum` of each array: sum over its rows i (dimension 0) of XXH3-64(bytes of row i, little-endian; seed i), modulo 2^64.
//   Because it is a sum over rows, any distribution over ranks can compute it.
//
// The bytes of the file depend only on arrays and content, not on the number of ranks or the time. HDF5's own checksums (object headers of HDF5 1.8)
// protect the metadata, so every flipped bit in the file is either detected or lies in unused space.
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

/// One array of a checkpoint. All ranks pass the same arrays in the same order. Elements are float or double (`is_double`). Either the array is
/// replicated: `data` is the whole array on every rank that holds it and null on the others, and the holders write a share each. Or it is divided
/// (`rows` >= 0 on all ranks): each rank writes its own rows; `data` points to row `first_row`, or is null if a FillRows produces the rows.
struct CheckpointArray {
  std::string name;  // "model/conv1.weight"
  Shape shape;
  bool is_double = false;
  const void* data = nullptr;
  std::int64_t first_row = 0, rows = -1;  // -1: replicated

  bool divided() const { return rows >= 0; }
};

/// Produces the rows of divided arrays without data in staging memory: place(k) is the address of this rank's rows of array k. May be collective.
using FillRows = std::function<void(const std::function<std::byte*(std::size_t)>& place)>;

struct CheckpointContent {
  std::string deck;
  std::map<std::string, std::int64_t> integers;  // progress: "step", "epoch", "sample", "seed"...
  std::map<std::string, double> reals;
};

/// The rows that this rank writes of a checkpoint. All ranks that hold an array write about the same number of its rows.
class CheckpointStagingBuffer {
 public:
  /// `comm`: the ranks that write together; it must outlive the first call of refer() or copy().
  explicit CheckpointStagingBuffer(MPI_Comm comm) : comm_(comm) {}

  // The first call of these functions is collective and decides which rank writes which rows. Later calls are not collective (except for `fill`) and
  // must pass the same arrays, held by the same ranks; internal errors report a difference.
  /// Only decides; does not access the data.
  void plan(const std::vector<CheckpointArray>& arrays);
  /// References the rows in memory of the caller; they must not change until they are written. Rows of `fill` are stored in memory of the stage.
  void refer(const std::vector<CheckpointArray>& arrays, const FillRows& fill = {});
  /// Copies all rows to memory of the stage.
  void copy(const std::vector<CheckpointArray>& arrays, const FillRows& fill = {});

  /// Allocates and touches the memory of the stage, after plan(): the first touch of a page costs several times a copy. Not collective; any thread,
  /// but not concurrently with other functions.
  void reserve();

  struct Rows {
    std::int64_t first = 0, count = 0;
    const std::byte* data = nullptr;  // address of row `first`
  };
  const std::vector<CheckpointArray>& arrays() const { return arrays_; }  // without data
  const std::vector<Rows>& rows() const { return rows_; }
  /// Bytes that this rank writes; bytes of all arrays.
  std::int64_t own_bytes() const;
  std::int64_t bytes() const;

 private:
  bool fills(std::size_t k, const std::vector<CheckpointArray>& arrays) const;
  std::int64_t bytes_of(std::size_t k) const;
  void reserve(std::int64_t bytes);
  void take(const std::vector<CheckpointArray>& arrays, const FillRows& fill, bool copies);

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

/// Options for writing a checkpoint.
struct CheckpointWriting {
  /// Part of the temporary name, so that two writers never use the same file: .step-00000012.h5.TAG.partial.
  std::string tag = {};
  /// Called on rank 0 before the file is created and again before it is renamed; an exception ends the writing.
  std::function<void()> permission = {};
  /// Runs HDF5 calls on the thread that makes them on this rank; empty: the calling thread.
  std::function<void(const std::function<void()>&)> on_h5_thread = {};
  /// Number of retries of temporary errors (IoError::may_pass), after 0.2 s, 0.4 s, 0.8 s... Each retry writes the whole file again, because after a
  /// failed fsync it is unknown which pages are on disk.
  int retries = 0;
  /// If this becomes true, waits for other ranks throw an error.
  const std::atomic<bool>* abandoned = nullptr;
};

/// Writes `file` in parallel: temporary name in the same folder, fsync on every rank, close, rename on rank 0, fsync of the folder. Collective over
/// `comm`, which has the ranks of the stage; `content` is that of rank 0. The folder must exist. On return the file is complete under its name, or
/// every rank has thrown the same checkpoint error (an IoError if the operating system gave an errno) and an older file of that name is unchanged.
void write_checkpoint(const std::filesystem::path& file, const CheckpointStagingBuffer& stage, const CheckpointContent& content, MPI_Comm comm,
                      const CheckpointWriting& how);
/// The same from memory of the caller. Returns the bytes of the arrays.
std::int64_t write_checkpoint(const std::filesystem::path& file, const std::vector<CheckpointArray>& arrays, const CheckpointContent& content, MPI_Comm comm);

/// Reads a checkpoint on one rank. Not collective.
class CheckpointReader {
 public:
  /// Opens the file and reads all but the arrays. Throws a checkpoint error if it does not exist, is not HDF5, is truncated, has another format
  /// version...
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
  /// Reads one array, converts it to the requested type, and verifies its checksum. A mismatch is a checkpoint error that names the array.
  void read(const std::string& name, float* out, std::int64_t size) const;
  void read(const std::string& name, double* out, std::int64_t size) const;
  /// Reads and verifies every array; returns the names of the damaged ones.
  std::vector<std::string> verify() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What is wrong with a checkpoint if it is damaged; empty if it is intact. Throws the error of a file that may be intact but cannot be read (no
/// permission, too many open files, a dangling link, a newer format version...): an older checkpoint must not replace it. On one rank.
std::string damage_of(const std::filesystem::path& file);

/// The files checkpoints/step-00001234.h5 of a run directory (or of a folder of checkpoints), newest (highest step) first; empty if the folder does
/// not exist. If the folder cannot be listed (EIO, ESTALE, EACCES...), retries, then throws an IoError of code checkpoint, so that an unreadable
/// folder is never taken for an empty one.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& run_directory);
std::filesystem::path checkpoint_path(const std::filesystem::path& run_directory, std::int64_t step);
/// The step in the name of a checkpoint file; -1: not the name of a checkpoint.
std::int64_t checkpoint_step(const std::filesystem::path& file);
/// Removes the incomplete files of dead writers from a folder of checkpoints. A writer that is still alive then cannot rename its file. Files that
/// cannot be removed are ignored.
void remove_unfinished_checkpoints(const std::filesystem::path& folder);

}  // namespace trireme
