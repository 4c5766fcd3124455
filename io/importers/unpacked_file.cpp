#include "io/importers/unpacked_file.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.hpp"

namespace trireme {

namespace fs = std::filesystem;

class UnpackedFile::Reader {
 public:
  virtual ~Reader() = default;
  virtual bool packed() const = 0;
  virtual std::size_t read(std::span<std::byte> out) = 0;
};

namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 18;

Error damaged(const std::string& file, const std::string& what) {
  return data_error("'{}': cannot read: {}. Hint: the file may be incomplete; download it again, and compare its size or checksum", file, what);
}

/// The bytes of the file itself.
class RawFile {
 public:
  explicit RawFile(const fs::path& path, std::int64_t offset = 0) : name_(path.string()), file_(std::fopen(path.c_str(), "rb")) {
    if (!file_ || (offset > 0 && ::fseeko(file_.get(), offset, SEEK_SET) != 0))
      throw data_error("'{}': cannot open: {}", name_, std::generic_category().message(errno));
  }
  const std::string& name() const { return name_; }

  std::size_t read(std::span<std::byte> out) {
    const std::size_t got = std::fread(out.data(), 1, out.size(), file_.get());
    if (got < out.size() && std::ferror(file_.get()) != 0) throw damaged(name_, std::generic_category().message(errno));
    return got;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string name_;
  std::unique_ptr<std::FILE, Close> file_;
};

/// gzip through zlib, because libarchive checks neither the CRC nor the length. Members may follow each other, with zeros between and after them.
class GzipReader final : public UnpackedFile::Reader {
 public:
  explicit GzipReader(const fs::path& path) : file_(path), packed_(block_bytes) {
    constexpr int gzip_only = 16, window = 15;
    if (inflateInit2(&stream_, gzip_only + window) != Z_OK) throw internal_error("zlib: out of memory");
  }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader() override { inflateEnd(&stream_); }

  bool packed() const override { return true; }

  std::size_t read(std::span<std::byte> out) override {
    constexpr std::size_t most_at_once = std::size_t{1} << 30;  // zlib counts in 32 bits
    std::size_t have = 0;
    while (have < out.size() && !at_end_) {
      const std::size_t room = std::min(out.size() - have, most_at_once);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + have);
      stream_.avail_out = static_cast<uInt>(room);
      step();
      have += room - stream_.avail_out;
    }
    return have;
  }

 private:
  /// False at the end of the file.
  bool has_input() {
    if (stream_.avail_in > 0) return true;
    stream_.avail_in = static_cast<uInt>(file_.read(packed_));
    stream_.next_in = reinterpret_cast<Bytef*>(packed_.data());
    return stream_.avail_in > 0;
  }

  void step() {
    if (!inside_ && !begin_member()) {
      at_end_ = true;
      return;
    }
    if (!has_input()) throw damaged(file_.name(), "the file ends in the middle of its gzip data");
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
      inside_ = false;
      ++members_;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      const std::string words = stream_.msg != nullptr ? stream_.msg : "a dictionary is missing";
      throw damaged(file_.name(), members_ > 0 && stream_.total_out == 0
                                      ? fmt::format("its gzip data ends, and the following bytes are not gzip data ({})", words)
                                      : fmt::format("its gzip data is damaged ({})", words));
    }
  }

  bool begin_member() {
    while (has_input() && members_ > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
    if (stream_.avail_in == 0) return false;
    inflateReset(&stream_);
    inside_ = true;
    return true;
  }

  RawFile file_;
  std::vector<std::byte> packed_;
  z_stream stream_{};
  bool inside_ = false, at_end_ = false;  // inside a member
  std::int64_t members_ = 0;              // completed
};

/// Plain files, and bzip2 and xz, whose checksums libarchive verifies; it silently ignores data after the compressed data.
class ArchiveReader final : public UnpackedFile::Reader {
 public:
  explicit ArchiveReader(const fs::path& path) : path_(path), handle_(archive_read_new()) {
    if (!handle_) throw internal_error("libarchive: out of memory");
    require(archive_read_support_filter_bzip2(handle_.get()), "prepare to read");
    require(archive_read_support_filter_xz(handle_.get()), "prepare to read");
    require(archive_read_support_format_raw(handle_.get()), "prepare to read");
    require(archive_read_support_format_empty(handle_.get()), "prepare to read");
    require(archive_read_open_filename(handle_.get(), path.c_str(), block_bytes), "open");
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(handle_.get(), &entry);
    at_end_ = code == ARCHIVE_EOF;  // an empty file has no entry
    if (!at_end_) require(code, "read");
  }

  bool packed() const override { return archive_filter_count(handle_.get()) > 1; }  // one filter is the file itself

  std::size_t read(std::span<std::byte> out) override {
    std::size_t have = 0;
    while (have < out.size() && !at_end_) {
      const la_ssize_t n = archive_read_data(handle_.get(), out.data() + have, out.size() - have);
      if (n < 0) fail("read");
      if (n > 0) {
        have += static_cast<std::size_t>(n);
      } else {
        at_end_ = true;
        if (packed()) require_zeros_from(archive_filter_bytes(handle_.get(), -1));
      }
    }
    return have;
  }

 private:
  // ARCHIVE_WARN means that the call succeeded.
  void require(int code, const char* what) const {
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) fail(what);
  }

  [[noreturn]] void fail(const char* what) const {
    const char* const words = archive_error_string(handle_.get());
    throw data_error("'{}': cannot {}: {}. Hint: the file may be incomplete; download it again, and compare its size or checksum", path_.string(), what,
                     words ? words : "unknown error");
  }

  void require_zeros_from(std::int64_t offset) const {
    RawFile file(path_, offset);
    std::array<std::byte, 4096> block{};
    while (const std::size_t got = file.read(block))
      if (std::ranges::any_of(std::span(block).first(got), [](std::byte b) { return b != std::byte{0}; }))
        throw damaged(path_.string(), fmt::format("its compressed data ends after {} bytes, and other data follow", offset));
  }

  struct Close {
    void operator()(archive* handle) const { archive_read_free(handle); }
  };
  fs::path path_;
  std::unique_ptr<archive, Close> handle_;
  bool at_end_ = false;
};

bool is_gzip(const fs::path& path) {
  std::array<std::byte, 2> magic{};
  return RawFile(path).read(magic) == magic.size() && magic[0] == std::byte{0x1f} && magic[1] == std::byte{0x8b};
}

}  // namespace

UnpackedFile::UnpackedFile(const fs::path& path) {
  if (is_gzip(path))
    reader_ = std::make_unique<GzipReader>(path);
  else
    reader_ = std::make_unique<ArchiveReader>(path);
}
UnpackedFile::~UnpackedFile() = default;

bool UnpackedFile::packed() const { return reader_->packed(); }
std::size_t UnpackedFile::read(std::span<std::byte> out) { return reader_->read(out); }

}  // namespace trireme
