// The uncompressed bytes of one file: gzip, bzip2, xz or plain. A read to the end verifies the checksums and lengths of the compression, and that no
// other data follow.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace trireme {

class UnpackedFile {
 public:
  /// Throws a data error if the file cannot be opened.
  explicit UnpackedFile(const std::filesystem::path& path);
  ~UnpackedFile();

  bool packed() const;
  /// Fills `out`; returns fewer bytes than it holds only at the end. A damaged file is a data error.
  std::size_t read(std::span<std::byte> out);

  class Reader;

 private:
  std::unique_ptr<Reader> reader_;
};

}  // namespace trireme
