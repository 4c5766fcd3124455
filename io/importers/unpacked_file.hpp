// The bytes of one file as they were before packing: gzip, bzip2, xz or plain. Whoever reads to the end has the packing's own checksums and
// length checked, and knows that nothing else follows.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace trireme {

class UnpackedFile {
 public:
  /// Throws a data error where the file cannot be opened.
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
