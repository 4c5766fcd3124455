#include "io/h5.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace trireme::h5 {

namespace {

herr_t collect_description(unsigned, const H5E_error2_t* error, void* data) {
  auto& descriptions = *static_cast<std::vector<std::string>*>(data);
  std::string text = error->desc != nullptr ? error->desc : "";
  std::ranges::replace(text, '\n', ' ');  // the drivers put the time of day in, with its end of line
  // Several levels of the library often say the same words.
  if (!text.empty() && std::ranges::find(descriptions, text) == descriptions.end()) descriptions.push_back(text);
  return 0;
}

herr_t collect_data_set(hid_t group, const char* name, const H5L_info_t*, void* data) {
  const hid_t object = H5Oopen(group, name, H5P_DEFAULT);
  if (object < 0) return 0;  // a dangling link
  if (H5Iget_type(object) == H5I_DATASET) static_cast<std::vector<std::string>*>(data)->emplace_back(name);
  H5Oclose(object);
  return 0;
}

/// The first bytes of a file, as far as they are printable, for "this is not HDF5".
std::string first_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(16, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '.';
  return text;
}

}  // namespace

void quiet() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

std::string error_stack(int* number) {
  std::vector<std::string> descriptions;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, collect_description, &descriptions);
  H5Eclear2(H5E_DEFAULT);
  if (number != nullptr) {
    *number = 0;
    constexpr std::string_view mark = "errno = ";  // the drivers' words
    for (const auto& text : descriptions)
      if (const auto at = text.find(mark); at != std::string::npos) std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), *number);
  }
  // What was wanted and what went wrong say it; the levels between are of interest to HDF5 alone.
  if (descriptions.size() > 3) descriptions.erase(descriptions.begin() + 1, descriptions.end() - 2);
  std::string line;
  for (const auto& text : descriptions) line += (line.empty() ? "" : ": ") + text;
  return line.empty() ? "no reason given" : line;
}

void throw_failure(const char* call, const std::string& context, ExitCode code) {
  const std::string_view text(call);
  int number = 0;
  const std::string words = error_stack(&number);
  throw IoError(code, fmt::format("{}: HDF5 failed in {}: {}", context, text.substr(0, text.find('(')), words), number);
}

File open_file(const std::string& path, const std::string& what, ExitCode code) {
  quiet();
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (!fs::exists(status)) throw fail(code, "{} '{}' does not exist", what, path);
  if (fs::is_directory(status)) throw fail(code, "{} '{}' is a folder, not a file", what, path);

  const Properties access(TRIREME_H5_AS(code, H5Pcreate(H5P_FILE_ACCESS), path));
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 11, 0))
  TRIREME_H5_AS(code, H5Pset_file_locking(access, false, true), path);
#endif
  File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  if (file) return file;

  int number = 0;
  const std::string words = error_stack(&number);
  if (!std::ifstream(path)) number = errno;
  if (number != 0) {
    const auto why = std::generic_category().message(number);
    throw IoError(code, fmt::format("{} '{}' cannot be read: {}", what, path, why), number);
  }
  const auto bytes = fs::file_size(path, ignored);
  if (bytes == 0) throw fail(code, "{} '{}' is empty (0 bytes); expected an HDF5 file", what, path);
  if (H5Fis_hdf5(path.c_str()) <= 0) {
    H5Eclear2(H5E_DEFAULT);
    throw fail(code, "{} '{}' is not an HDF5 file: it has {} bytes and begins with \"{}\"", what, path, bytes,
               first_bytes(path));
  }
  throw fail(code, "{} '{}' is cut short or damaged ({} bytes): {}. Hint: copy or make it again", what, path, bytes,
             words);
}

std::vector<std::int64_t> extents(const Dataset& dataset, const std::string& context, ExitCode code) {
  const Space space(TRIREME_H5_AS(code, H5Dget_space(dataset), context));
  const int rank = TRIREME_H5_AS(code, H5Sget_simple_extent_ndims(space), context);
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
  TRIREME_H5_AS(code, H5Sget_simple_extent_dims(space, sizes.data(), nullptr), context);
  return {sizes.begin(), sizes.end()};
}

std::vector<std::string> data_sets(hid_t group) {
  std::vector<std::string> names;
  H5Lvisit(group, H5_INDEX_NAME, H5_ITER_INC, collect_data_set, &names);
  H5Eclear2(H5E_DEFAULT);
  std::ranges::sort(names);
  return names;
}

std::string type_text(hid_t type) {
  const std::size_t bits = 8 * H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return (H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int") + std::to_string(bits);
    case H5T_FLOAT:
      return "float" + std::to_string(bits);
    case H5T_STRING:
      return "string";
    case H5T_BITFIELD:
      return "bit field of " + std::to_string(bits) + " bits";
    case H5T_OPAQUE:
      return "opaque";
    case H5T_COMPOUND:
      return "compound (a record, or complex numbers)";
    case H5T_REFERENCE:
      return "reference";
    case H5T_ENUM:
      return "enumeration";
    case H5T_VLEN:
      return "variable-length";
    case H5T_ARRAY:
      return "array";
    case H5T_TIME:
      return "time";
    default:
      return "unknown";
  }
}

}  // namespace trireme::h5
