// Reads a checkpoint on one rank. Every array is used only after its checksum was verified.
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <system_error>
#include <type_traits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "io/checkpoint_file.hpp"
#include "io/detail/checkpoint_format.hpp"
#include "io/h5.hpp"
#include "io/h5_attributes.hpp"

#define TRIREME_H5_READ(call, context) TRIREME_H5_AS(ExitCode::checkpoint, call, context)

namespace trireme {

namespace {

template <class T>
T read_number(hid_t object, const char* name, const std::string& context) {
  return h5::number_attribute<T>(object, name, context, ExitCode::checkpoint);
}

/// A checkpoint of a format version that this program does not read.
struct OtherFormat : Error {
  using Error::Error;
};

/// Whether an error of the operating system can come from wrong addresses or sizes in a damaged file, and not only from outside.
bool may_be_damage(int number) { return number == 0 || number == EINVAL || number == EOVERFLOW || number == EFBIG; }

/// The message of an error that says nothing about the content of the file.
std::string unread(std::string text) {
  const auto at = std::min(text.find(" Hint: "), text.size());
  const std::string hint = at < text.size() ? text.substr(at) : " Hint: make the file readable";
  text.resize(at);
  if (!text.ends_with('.')) text += '.';
  return text + " The file may be intact, so no older checkpoint is used in its place." + hint + "; to continue from an older checkpoint, move this file away";
}

herr_t collect_name(hid_t, const char* name, const H5A_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

}  // namespace

struct CheckpointReader::Impl {
  explicit Impl(const std::filesystem::path& path)
      : where("checkpoint '" + path.string() + "'"), file(h5::open_file(path.string(), "checkpoint", ExitCode::checkpoint)) {
    check_format();
    read_progress();
    read_deck();
    find_arrays();
  }

  void check_format() const {
    const char* const hint = "Hint: trireme writes checkpoints to RUN/checkpoints/step-*.h5";
    if (H5Aexists(file, detail::version_attribute) <= 0 || H5Aexists(file, detail::program_attribute) <= 0)
      throw checkpoint_error("{} is an HDF5 file, but not a checkpoint of Trireme: it has no attributes '{}' and '{}'. {}", where, detail::version_attribute,
                             detail::program_attribute, hint);
    const std::string program = h5::text_attribute(file, detail::program_attribute, where, ExitCode::checkpoint);
    if (program != detail::checkpoint_program)
      throw checkpoint_error("{} was written by '{}', not by '{}'. {}", where, program, detail::checkpoint_program, hint);
    const auto version = read_number<std::int64_t>(file, detail::version_attribute, where);
    if (version < 1 || version > checkpoint_format_version)
      throw OtherFormat(ExitCode::checkpoint,
                        fmt::format("{} has format version {}; this version of Trireme reads versions 1 to {}. Hint: use the version of Trireme that wrote "
                                    "it, or a newer one",
                                    where, version, checkpoint_format_version));
    for (const char* name : {"model", "optimizer", "progress", "deck"})
      if (H5Lexists(file, name, H5P_DEFAULT) <= 0)
        throw checkpoint_error(
            "{} has no '/{}'; a checkpoint has /model, /optimizer, /progress and /deck. "
            "Hint: use the previous checkpoint",
            where, name);
  }

  void read_progress() {
    const std::string context = where + ", '/progress'";
    const h5::Group group(TRIREME_H5_READ(H5Gopen2(file, "progress", H5P_DEFAULT), context));
    std::vector<std::string> names;
    hsize_t at = 0;
    TRIREME_H5_READ(H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_INC, &at, collect_name, &names), context);
    for (const auto& name : names) {
      const h5::Attribute attribute(TRIREME_H5_READ(H5Aopen(group, name.c_str(), H5P_DEFAULT), context));
      const h5::Type type(TRIREME_H5_READ(H5Aget_type(attribute), context));
      if (H5Tget_class(type) == H5T_INTEGER)
        content.integers[name] = read_number<std::int64_t>(group, name.c_str(), context);
      else if (H5Tget_class(type) == H5T_FLOAT)
        content.reals[name] = read_number<double>(group, name.c_str(), context);
      else
        throw checkpoint_error("{}: attribute '{}' must be one int64 or float64; found {}", context, name, h5::attribute_form(attribute));
    }
    // Positions in the run; none of them is negative.
    for (const char* name : {"step", "epoch", "batch", "epoch_samples", "epoch_steps"})
      if (const auto found = content.integers.find(name); found != content.integers.end() && found->second < 0)
        throw checkpoint_error("{}: '{}' is {}; it must be at least 0. Hint: the file was changed or damaged; use the previous checkpoint", context, name,
                               found->second);
  }

  void read_deck() {
    const std::string context = where + ", '/deck'";
    const h5::Dataset dataset(TRIREME_H5_READ(H5Dopen2(file, "deck", H5P_DEFAULT), context));
    const h5::Type type(TRIREME_H5_READ(H5Dget_type(dataset), context));
    const h5::Space space(TRIREME_H5_READ(H5Dget_space(dataset), context));
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0 || H5Sget_simple_extent_npoints(space) != 1)
      throw checkpoint_error("{}: expected one fixed-length string, found {}", context, h5::type_text(type));
    hsize_t bytes = 0;
    TRIREME_H5_READ(H5Fget_filesize(file, &bytes), context);
    if (H5Tget_size(type) > bytes)
      throw checkpoint_error("{} has a length of {} bytes, but the whole file has {}. Hint: use the previous checkpoint", context, H5Tget_size(type), bytes);
    content.deck.assign(H5Tget_size(type), '\0');
    TRIREME_H5_READ(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, content.deck.data()), context);
    content.deck.resize(std::min(content.deck.find('\0'), content.deck.size()));
    const auto sum = detail::checksum(reinterpret_cast<const std::byte*>(content.deck.data()), 0, 1, static_cast<std::int64_t>(content.deck.size()));
    require_equal("deck", read_number<std::uint64_t>(dataset, detail::checksum_attribute, context), sum);
  }

  void find_arrays() {
    for (auto& name : h5::data_sets(file)) {
      if (!name.starts_with("model/") && !name.starts_with("optimizer/") && !name.starts_with("ema/") && !name.starts_with("data/")) continue;
      const std::string context = where + ", '/" + name + "'";
      const h5::Dataset dataset(TRIREME_H5_READ(H5Dopen2(file, name.c_str(), H5P_DEFAULT), context));
      const h5::Type type(TRIREME_H5_READ(H5Dget_type(dataset), context));
      const std::size_t element = H5Tget_size(type);
      if (H5Tget_class(type) != H5T_FLOAT || (element != 4 && element != 8))
        throw checkpoint_error("{}: expected float32 or float64 numbers, found {}", context, h5::type_text(type));
      const std::vector<std::int64_t> extents = h5::extents(dataset, context, ExitCode::checkpoint);
      if (extents.size() > Shape::max_rank)
        throw checkpoint_error("{} has {} dimensions; arrays in checkpoints have at most {}", context, extents.size(), static_cast<int>(Shape::max_rank));
      const Shape shape{std::span<const std::int64_t>(extents)};
      arrays.push_back({std::move(name), shape, element == 8, shape.size() * static_cast<std::int64_t>(element)});
    }
    const auto count = read_number<std::int64_t>(file, detail::count_attribute, where);
    if (count != static_cast<std::int64_t>(arrays.size()))
      throw checkpoint_error("{} is damaged: {} arrays were written to it, {} were found. Hint: use the previous checkpoint", where, count, arrays.size());
  }

  const ArrayInfo* find(const std::string& name) const {
    const auto at = std::ranges::lower_bound(arrays, name, {}, &ArrayInfo::name);
    return at != arrays.end() && at->name == name ? &*at : nullptr;
  }

  void require_equal(const std::string& name, std::uint64_t expected, std::uint64_t found) const {
    if (expected != found)
      throw checkpoint_error(
          "{}: array '{}' is damaged: its checksum was {:016x} when it was written and is now {:016x}. "
          "Hint: use the previous checkpoint",
          where, name, expected, found);
  }

  /// Reads the array piece by piece into the memory at `place(first element)`, calls `done(first element, elements)` after each piece, and verifies
  /// the checksum at the end.
  void stream(const ArrayInfo& array, const std::function<std::byte*(std::int64_t)>& place, const std::function<void(std::int64_t, std::int64_t)>& done) const {
    const std::string context = where + ", '/" + array.name + "'";
    const detail::Rows rows(array.shape, array.is_double);
    const h5::Dataset dataset(TRIREME_H5_READ(H5Dopen2(file, array.name.c_str(), H5P_DEFAULT), context));
    const h5::Space space(TRIREME_H5_READ(H5Dget_space(dataset), context));
    const hid_t type = array.is_double ? h5::native_type<double>() : h5::native_type<float>();
    const std::int64_t row_elements = rows.bytes / (array.is_double ? 8 : 4);
    std::vector<hsize_t> start(static_cast<std::size_t>(array.shape.rank()), 0), size(array.shape.span().begin(), array.shape.span().end());
    std::uint64_t sum = 0;
    for (std::int64_t first = 0; first < rows.count; first += rows.per_piece) {
      const std::int64_t count = std::min(rows.per_piece, rows.count - first);
      if (!start.empty()) {
        start[0] = static_cast<hsize_t>(first);
        size[0] = static_cast<hsize_t>(count);
        TRIREME_H5_READ(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr), context);
      }
      const h5::Space memory(TRIREME_H5_READ(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), context));
      std::byte* const out = place(first * row_elements);
      TRIREME_H5_READ(H5Dread(dataset, type, memory, space, H5P_DEFAULT, out), context);
      sum += detail::checksum(out, first, count, rows.bytes);
      done(first * row_elements, count * row_elements);
    }
    require_equal(array.name, read_number<std::uint64_t>(dataset, detail::checksum_attribute, context), sum);
  }

  std::vector<std::byte> scratch_for(const ArrayInfo& array) const {
    const detail::Rows rows(array.shape, array.is_double);
    return std::vector<std::byte>(static_cast<std::size_t>(std::min(rows.count, rows.per_piece) * rows.bytes));
  }

  template <class T>
  void read(const std::string& name, T* out, std::int64_t size) const {
    const ArrayInfo* const array = find(name);
    if (array == nullptr) {
      std::vector<std::string> names;
      for (const auto& other : arrays) names.push_back(other.name);
      const std::string near = near_name(name, names);
      throw checkpoint_error("{} has no array '{}' among its {}{}. Hint: use the deck's [model] and [optimizer] of the checkpoint", where, name, names.size(),
                             near.empty() ? "" : fmt::format("; the most similar name is '{}'", near));
    }
    if (array->shape.size() != size)
      throw checkpoint_error(
          "{}: array '{}' has shape {}, which is {} numbers; expected {}. Hint: use the deck's [model] of the "
          "checkpoint",
          where, name, array->shape.tuple(), array->shape.size(), size);
    if (array->is_double == std::is_same_v<T, double>) {
      stream(
          *array, [&](std::int64_t first) { return reinterpret_cast<std::byte*>(out + first); }, [](std::int64_t, std::int64_t) {});
      return;
    }
    using Stored = std::conditional_t<std::is_same_v<T, double>, float, double>;
    std::vector<std::byte> scratch = scratch_for(*array);
    stream(
        *array, [&](std::int64_t) { return scratch.data(); },
        [&](std::int64_t first, std::int64_t count) {
          const auto* const stored = reinterpret_cast<const Stored*>(scratch.data());
          std::transform(stored, stored + count, out + first, [](Stored value) { return static_cast<T>(value); });
        });
  }

  std::string where;
  h5::File file;
  CheckpointContent content;
  std::vector<ArrayInfo> arrays;
};

CheckpointReader::CheckpointReader(const std::filesystem::path& file) : impl_(std::make_unique<Impl>(file)) {}
CheckpointReader::~CheckpointReader() = default;

const CheckpointContent& CheckpointReader::content() const { return impl_->content; }
const std::vector<CheckpointReader::ArrayInfo>& CheckpointReader::arrays() const { return impl_->arrays; }
bool CheckpointReader::has(const std::string& name) const { return impl_->find(name) != nullptr; }

void CheckpointReader::read(const std::string& name, float* out, std::int64_t size) const { impl_->read(name, out, size); }
void CheckpointReader::read(const std::string& name, double* out, std::int64_t size) const { impl_->read(name, out, size); }

std::vector<std::string> CheckpointReader::verify() const {
  std::vector<std::string> damaged;
  for (const auto& array : impl_->arrays) {
    std::vector<std::byte> scratch = impl_->scratch_for(array);
    try {
      impl_->stream(
          array, [&](std::int64_t) { return scratch.data(); }, [](std::int64_t, std::int64_t) {});
    } catch (const IoError& error) {
      if (!may_be_damage(error.number())) throw;  // the file itself may be intact
      damaged.push_back(array.name);
    } catch (const Error&) {
      damaged.push_back(array.name);
    }
  }
  return damaged;
}

std::string damage_of(const std::filesystem::path& file) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_symlink(fs::symlink_status(file, error)) && fs::status(file, error).type() == fs::file_type::not_found)
    throw Error(ExitCode::checkpoint,
                unread(fmt::format("checkpoint '{}' is a symbolic link to '{}', which does not exist", file.string(), fs::read_symlink(file, error).string())));
  try {
    const auto arrays = CheckpointReader(file).verify();
    return arrays.empty() ? "" : fmt::format("checkpoint '{}' is damaged in {}", file.string(), fmt::join(arrays, ", "));
  } catch (const OtherFormat& other) {
    throw Error(other.code(), unread(other.what()));
  } catch (const IoError& failed) {
    if (!may_be_damage(failed.number())) throw IoError(failed.code(), unread(failed.what()), failed.number());
    return failed.what();
  } catch (const Error& failed) {
    return failed.what();
  }
}

}  // namespace trireme
