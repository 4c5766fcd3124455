#include "io/importers/byte_stream.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"

namespace trireme {

struct ByteStream::Impl {
  struct Close {
    void operator()(archive* handle) const { archive_read_free(handle); }
  };
  std::unique_ptr<archive, Close> handle;
  archive_entry* entry = nullptr;  // owned by the handle
  std::string file;
  std::string name;
  bool at_end = false;
  std::vector<std::byte> dropped;

  explicit Impl(const std::filesystem::path& path) : handle(archive_read_new()), file(path.string()), name(file) {
    if (!handle) throw internal_error("libarchive: out of memory");
    require(archive_read_support_filter_gzip(handle.get()), "prepare to read");
    require(archive_read_support_filter_bzip2(handle.get()), "prepare to read");
    require(archive_read_support_filter_xz(handle.get()), "prepare to read");
  }

  // ARCHIVE_WARN says that the call did its work.
  void require(int code, const char* what) const {
    if (code >= ARCHIVE_WARN) return;
    const char* const words = archive_error_string(handle.get());
    throw data_error("'{}': cannot {}: {}. Hint: is the file whole? Fetch it again, and compare its size or checksum.",
                     name, what, words ? words : "unknown error");
  }

  void open() {
    constexpr std::size_t block = std::size_t{1} << 18;
    require(archive_read_open_filename(handle.get(), file.c_str(), block), "open");
  }

  bool next_entry() {
    const int code = archive_read_next_header(handle.get(), &entry);
    if (code == ARCHIVE_EOF) return false;
    require(code, "read");
    return true;
  }
};

ByteStream::ByteStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;
ByteStream& ByteStream::operator=(ByteStream&&) noexcept = default;

ByteStream ByteStream::of_file(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>(path);
  impl->require(archive_read_support_format_raw(impl->handle.get()), "prepare to read");
  impl->require(archive_read_support_format_empty(impl->handle.get()), "prepare to read");
  impl->open();
  impl->at_end = !impl->next_entry();  // an empty file has no entry
  return ByteStream(std::move(impl));
}

ByteStream ByteStream::of_archive(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>(path);
  impl->require(archive_read_support_format_tar(impl->handle.get()), "prepare to read");
  impl->require(archive_read_support_format_zip(impl->handle.get()), "prepare to read");
  impl->open();
  impl->at_end = true;
  return ByteStream(std::move(impl));
}

bool ByteStream::next_member() {
  while (impl_->next_entry()) {
    if (archive_entry_filetype(impl_->entry) != AE_IFREG) continue;
    impl_->name = impl_->file + ": " + member();
    impl_->at_end = false;
    return true;
  }
  impl_->name = impl_->file;
  return false;
}

std::string ByteStream::member() const {
  const char* const path = archive_entry_pathname(impl_->entry);
  return path ? path : "(a name that is not text)";
}

const std::string& ByteStream::name() const { return impl_->name; }

std::size_t ByteStream::read(std::span<std::byte> out) {
  std::size_t have = 0;
  while (have < out.size() && !impl_->at_end) {
    const la_ssize_t n = archive_read_data(impl_->handle.get(), out.data() + have, out.size() - have);
    if (n < 0) impl_->require(static_cast<int>(n), "read");
    if (n <= 0)
      impl_->at_end = true;
    else
      have += static_cast<std::size_t>(n);
  }
  return have;
}

std::int64_t ByteStream::skip(std::int64_t count) {
  impl_->dropped.resize(std::size_t{1} << 18);
  std::int64_t done = 0;
  while (done < count) {
    const auto want = std::min<std::int64_t>(count - done, static_cast<std::int64_t>(impl_->dropped.size()));
    const auto got = read(std::span(impl_->dropped).first(static_cast<std::size_t>(want)));
    done += static_cast<std::int64_t>(got);
    if (static_cast<std::int64_t>(got) < want) break;
  }
  return done;
}

}  // namespace trireme
