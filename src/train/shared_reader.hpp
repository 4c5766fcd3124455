// A checkpoint that rank 0 reads for all ranks.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "comm/communicator.hpp"
#include "io/checkpoint_file.hpp"
#include "io/io_thread.hpp"
#include "io/retry.hpp"

namespace trireme {

/// Runs `action` on the thread that calls HDF5; null: on the calling thread.
inline void on_thread(IoThread* h5, const std::function<void()>& action) {
  if (h5 == nullptr) return action();
  h5->run([&] { action(); });
}

/// A checkpoint, read on rank 0 array by array, on the thread that calls HDF5. It is reopened after a read error that may be transient.
class SharedReader {
 public:
  SharedReader(std::filesystem::path file, const Communicator& comm, IoThread* h5) : file_(std::move(file)), comm_(comm), h5_(h5) {}
  SharedReader(const SharedReader&) = delete;
  SharedReader& operator=(const SharedReader&) = delete;
  ~SharedReader() {
    if (reader_) on_thread(h5_, [&] { reader_.reset(); });
  }
  /// Runs `action` on rank 0; its error is thrown on all ranks. Collective.
  void read(const std::function<void(const CheckpointReader&)>& action) {
    comm_.together([&] {
      if (comm_.rank() != 0) return;
      on_thread(h5_, [&] {
        with_retries(usual_retries, [&] {
          try {
            if (!reader_) reader_.emplace(file_);
            action(*reader_);
          } catch (const IoError&) {
            reader_.reset();
            throw;
          }
        });
      });
    });
  }

 private:
  std::filesystem::path file_;
  const Communicator& comm_;
  IoThread* h5_;
  std::optional<CheckpointReader> reader_;
};

}  // namespace trireme
