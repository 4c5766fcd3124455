#include "io/prediction_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "io/detail/durable.hpp"
#include "io/detail/file_writing.hpp"
#include "io/h5.hpp"

namespace trireme {

namespace fs = std::filesystem;

// Rows are written in their memory layout.
static_assert(std::endian::native == std::endian::little, "prediction files are little-endian");

namespace {

std::string words_for(const fs::path& file) { return "predictions '" + file.string() + "'"; }

}  // namespace

struct PredictionFile::Impl {
  explicit Impl(const fs::path& name) : path(name), partial(detail::partial_name(name)), where(words_for(name)) {}

  /// Not in the constructor, so that the destructor removes the file if this fails.
  void create(const PredictionLayout& layout) {
    h5::quiet();
    const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_FILE_CREATE), where));
    const h5::Properties access(TRIREME_H5(H5Pcreate(H5P_FILE_ACCESS), where));
    // No timestamps, so that the same predictions give the same bytes.
    TRIREME_H5(H5Pset_obj_track_times(creation, false), where);
    TRIREME_H5(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST), where);
    TRIREME_H5(H5Pset_alignment(access, 1 << 20, 4096), where);
    file = detail::create_file(partial, status, creation, access, where, ExitCode::data);
    text("program", "trireme");
    text("kind", "predictions");
    for (const auto& [key, value] : layout.texts) text(key, value);
    for (const auto& [key, value] : layout.integers) integer(key, value);
    for (const auto& [key, values] : layout.numbers) numbers(key, values);
    places.output = place("output", layout.is_double ? H5T_IEEE_F64LE : H5T_IEEE_F32LE, layout.output.with_first(layout.rows));
    if (layout.classes) places.classes = place("class", H5T_STD_I32LE, Shape{layout.rows});
    // The other ranks open the file next, so its name must be visible.
    TRIREME_H5(H5Fflush(file, H5F_SCOPE_LOCAL), where);
    status.check(where, ExitCode::data);
  }

  ~Impl() {
    if (finished) return;
    file = h5::File{};
    std::error_code ignored;
    fs::remove(partial, ignored);
  }

  void text(const std::string& key, const std::string& value) const {
    const h5::Space one(TRIREME_H5(H5Screate(H5S_SCALAR), where));
    const h5::Type type(TRIREME_H5(H5Tcopy(H5T_C_S1), where));
    TRIREME_H5(H5Tset_size(type, value.empty() ? 1 : value.size()), where);
    TRIREME_H5(H5Tset_strpad(type, H5T_STR_NULLPAD), where);
    TRIREME_H5(H5Tset_cset(type, H5T_CSET_UTF8), where);
    const h5::Attribute made(TRIREME_H5(H5Acreate2(file, key.c_str(), type, one, H5P_DEFAULT, H5P_DEFAULT), where));
    TRIREME_H5(H5Awrite(made, type, value.c_str()), where);
  }

  void integer(const std::string& key, std::int64_t value) const {
    const h5::Space one(TRIREME_H5(H5Screate(H5S_SCALAR), where));
    const h5::Attribute made(TRIREME_H5(H5Acreate2(file, key.c_str(), H5T_STD_I64LE, one, H5P_DEFAULT, H5P_DEFAULT), where));
    TRIREME_H5(H5Awrite(made, h5::native_type<std::int64_t>(), &value), where);
  }

  void numbers(const std::string& key, const std::vector<double>& values) const {
    const hsize_t extent = values.size();
    const h5::Space space(TRIREME_H5(H5Screate_simple(1, &extent, nullptr), where));
    const h5::Attribute made(TRIREME_H5(H5Acreate2(file, key.c_str(), H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT), where));
    TRIREME_H5(H5Awrite(made, h5::native_type<double>(), values.data()), where);
  }

  /// Reserves space for a contiguous array; returns its offset.
  std::int64_t place(const std::string& name, hid_t type, const Shape& shape) const {
    const std::vector<hsize_t> extents(shape.span().begin(), shape.span().end());
    const h5::Space space(TRIREME_H5(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), where));
    const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), where));
    TRIREME_H5(H5Pset_obj_track_times(creation, false), where);
    TRIREME_H5(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), where);
    TRIREME_H5(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), where);
    const h5::Dataset made(TRIREME_H5(H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), where + ", '/" + name + "'"));
    const haddr_t offset = shape.size() == 0 ? 0 : H5Dget_offset(made);
    if (offset == HADDR_UNDEF) h5::throw_failure("H5Dget_offset", where, ExitCode::data);
    return static_cast<std::int64_t>(offset);
  }

  fs::path path, partial;
  std::string where;
  detail::WriteStatus status;  // must outlive the file
  h5::File file;
  PredictionPlaces places;
  bool finished = false;
};

PredictionFile::PredictionFile(const fs::path& file, const PredictionLayout& layout) : impl_(std::make_unique<Impl>(file)) { impl_->create(layout); }
PredictionFile::~PredictionFile() = default;

const PredictionPlaces& PredictionFile::places() const { return impl_->places; }

void PredictionFile::finish() {
  Impl& whole = *impl_;
  whole.file.close(whole.where);
  whole.status.check(whole.where, ExitCode::data);
  std::error_code error = detail::sync_to_disk(whole.partial);
  if (!error) error = detail::publish(whole.partial, whole.path);
  if (error) throw data_error("{} cannot be flushed to disk: {}", whole.where, error.message());
  whole.finished = true;
}

PredictionRows::PredictionRows(const fs::path& file, const PredictionLayout& layout, const PredictionPlaces& places)
    : where_(words_for(file)),
      rows_(layout.rows),
      row_bytes_(layout.output.size() * (layout.is_double ? 8 : 4)),
      classes_(layout.classes),
      places_(places),
      descriptor_(::open(detail::partial_name(file).c_str(), O_WRONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) detail::WriteStatus{errno}.check(where_, ExitCode::data);
}

PredictionRows::~PredictionRows() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void PredictionRows::write(std::int64_t first, std::span<const std::byte> output, std::span<const std::int32_t> classes) {
  const auto bytes = static_cast<std::int64_t>(output.size());
  const std::int64_t count = bytes / row_bytes_;
  if (bytes % row_bytes_ != 0 || first < 0 || first + count > rows_ || static_cast<std::int64_t>(classes.size()) != (classes_ ? count : 0))
    throw internal_error("{}: {} bytes and {} classes were given for the rows from {} on; the file has {} rows of {} bytes", where_, bytes, classes.size(),
                         first, rows_, row_bytes_);
  detail::WriteStatus status;
  status.error = detail::write_fully(descriptor_, output.data(), output.size(), places_.output + first * row_bytes_);
  if (status.error == 0 && classes_)
    status.error =
        detail::write_fully(descriptor_, classes.data(), classes.size_bytes(), places_.classes + first * static_cast<std::int64_t>(sizeof(std::int32_t)));
  status.check(where_, ExitCode::data);
}

void PredictionRows::finish() {
  detail::WriteStatus status;
  if (::fsync(descriptor_) != 0) status.error = errno;
  if (::close(descriptor_) != 0 && status.error == 0) status.error = errno;
  descriptor_ = -1;
  status.check(where_, ExitCode::data);
}

}  // namespace trireme
