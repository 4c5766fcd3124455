// The uncompressed bytes of a file (plain, gzip, bzip2 or xz), or the members of a tar or zip archive with any of these compressions. Reads forward
// only; a file is never in memory as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace trireme {

class ByteStream {
 public:
  /// The content of one file. Throws a data error if it cannot be opened.
  static ByteStream of_file(const std::filesystem::path& path);
  /// The members of an archive; next_member() goes to the first one.
  static ByteStream of_archive(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(ByteStream&&) noexcept;
  ByteStream& operator=(ByteStream&&) noexcept;

  /// Goes to the next regular file of the archive; false after the last one.
  bool next_member();
  /// The member's path inside the archive.
  std::string member() const;

  /// "folder/file.gz" or "archive.tar: member", for messages.
  const std::string& name() const;
  /// Fills `out`; returns fewer bytes than it holds only at the end. A damaged file is a data error.
  std::size_t read(std::span<std::byte> out);
  /// Skips `count` bytes; returns fewer only at the end.
  std::int64_t skip(std::int64_t count);
  /// Reads the file to its end, which verifies the checksum of its compression. Call it if you do not read to the end.
  void finish();

 private:
  struct Impl;
  explicit ByteStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace trireme
