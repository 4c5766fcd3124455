#include "io/importers/byte_stream.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <vector>

#include "base/error.hpp"
#include "io/importers/unpacked_file.hpp"

namespace trireme {

namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 18;

}  // namespace

// A single file, or an archive that libarchive reads: directly from the file if it is not compressed, otherwise from its decompressed bytes.
struct ByteStream::Impl {
  struct Close {
    void operator()(archive* handle) const { archive_read_free(handle); }
  };
  UnpackedFile file;
  std::string path;
  std::string name;
  std::unique_ptr<archive, Close> handle;  // destroyed before the file that it reads
  archive_entry* entry = nullptr;          // owned by the handle
  bool at_end = false;
  std::vector<std::byte> block;  // input buffer of the archive
  std::exception_ptr error;      // from reading the input
  std::vector<std::byte> dropped;

  explicit Impl(const std::filesystem::path& where) : file(where), path(where.string()), name(path) {}

  // ARCHIVE_WARN means that the call succeeded.
  void require(int code, const char* what) const {
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) fail(what);
  }

  [[noreturn]] void fail(const char* what) const {
    if (error) std::rethrow_exception(error);
    const char* const words = archive_error_string(handle.get());
    throw data_error("'{}': cannot {}: {}. Hint: the file may be incomplete; download it again, and compare its size or checksum", name, what,
                     words ? words : "unknown error");
  }

  // libarchive requests more input. No exception may pass through it.
  static la_ssize_t give(archive* to, void* data, const void** bytes) {
    auto& self = *static_cast<Impl*>(data);
    try {
      *bytes = self.block.data();
      return static_cast<la_ssize_t>(self.file.read(self.block));
    } catch (...) {
      self.error = std::current_exception();
      archive_set_error(to, EIO, "its compressed data is damaged");
      return ARCHIVE_FATAL;
    }
  }

  void open_archive() {
    handle.reset(archive_read_new());
    if (!handle) throw internal_error("libarchive: out of memory");
    require(archive_read_support_format_tar(handle.get()), "prepare to read");
    require(archive_read_support_format_zip(handle.get()), "prepare to read");
    if (file.packed()) {
      block.resize(block_bytes);
      require(archive_read_open2(handle.get(), this, nullptr, give, nullptr, nullptr), "open");
    } else {  // a zip archive may have to be read from its end
      require(archive_read_open_filename(handle.get(), path.c_str(), block_bytes), "open");
    }
    at_end = true;
  }

  bool next_entry() {
    const int code = archive_read_next_header(handle.get(), &entry);
    if (error) std::rethrow_exception(error);
    if (code == ARCHIVE_EOF) return false;
    require(code, "read");
    return true;
  }

  std::size_t read_member(std::span<std::byte> out) {
    std::size_t have = 0;
    while (have < out.size() && !at_end) {
      const la_ssize_t n = archive_read_data(handle.get(), out.data() + have, out.size() - have);
      if (n < 0) fail("read");  // a wrong CRC in a zip archive is no more than ARCHIVE_WARN
      if (n <= 0)
        at_end = true;
      else
        have += static_cast<std::size_t>(n);
    }
    return have;
  }
};

ByteStream::ByteStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;
ByteStream& ByteStream::operator=(ByteStream&&) noexcept = default;

ByteStream ByteStream::of_file(const std::filesystem::path& path) { return ByteStream(std::make_unique<Impl>(path)); }

ByteStream ByteStream::of_archive(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>(path);
  impl->open_archive();
  return ByteStream(std::move(impl));
}

bool ByteStream::next_member() {
  while (impl_->next_entry()) {
    if (archive_entry_filetype(impl_->entry) != AE_IFREG) continue;
    impl_->name = impl_->path + ": " + member();
    impl_->at_end = false;
    return true;
  }
  impl_->name = impl_->path;
  return false;
}

std::string ByteStream::member() const {
  const char* const path = archive_entry_pathname(impl_->entry);
  return path ? path : "(a name that is not text)";
}

const std::string& ByteStream::name() const { return impl_->name; }

std::size_t ByteStream::read(std::span<std::byte> out) { return impl_->handle ? impl_->read_member(out) : impl_->file.read(out); }

std::int64_t ByteStream::skip(std::int64_t count) {
  impl_->dropped.resize(block_bytes);
  std::int64_t done = 0;
  while (done < count) {
    const auto want = std::min<std::int64_t>(count - done, static_cast<std::int64_t>(impl_->dropped.size()));
    const auto got = read(std::span(impl_->dropped).first(static_cast<std::size_t>(want)));
    done += static_cast<std::int64_t>(got);
    if (static_cast<std::int64_t>(got) < want) break;
  }
  return done;
}

void ByteStream::finish() {
  impl_->dropped.resize(block_bytes);
  if (impl_->handle && !impl_->file.packed()) return;
  while (impl_->file.read(impl_->dropped) == impl_->dropped.size()) continue;
}

}  // namespace trireme
