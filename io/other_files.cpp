#include "io/detail/other_files.hpp"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/text.hpp"

namespace trireme::detail {

namespace fs = std::filesystem;

namespace {

std::string folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path().string() : "."; }

std::string joined(const std::string& folder, const std::string& name) { return folder.ends_with('/') ? folder + name : folder + "/" + name; }

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

constexpr std::string_view origin = "${ORIGIN}";  // HDF5's name for the folder of the file itself

/// Throws an IoError if the file cannot be opened for reading.
void require_readable(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const int number = errno;
    throw IoError(ExitCode::data, fmt::format("'{}' cannot be read: {}", file, std::generic_category().message(number)), number);
  }
  ::close(descriptor);
}

/// HDF5 calls this before it follows an external link; a negative return value stops it.
herr_t follow_to_files_only(const char* holder, const char*, const char* name, const char*, unsigned*, hid_t, void*) {
  try {
    first_present(places_of(holder, name, Naming::external_link));
    return 0;
  } catch (const std::exception&) {
    return -1;
  }
}

}  // namespace

std::vector<std::string> places_of(const std::string& holder, const std::string& name, Naming naming) {
  std::vector<std::string> places;
  std::string rest = name;
  if (name.starts_with('/')) {
    places.push_back(name);
    rest = name.substr(name.rfind('/') + 1);
  }
  const std::string prefixes = variable(naming == Naming::virtual_source ? "HDF5_VDS_PREFIX" : "HDF5_EXT_PREFIX");
  for (const auto& prefix : split(prefixes, ':'))
    if (!prefix.empty()) places.push_back(joined(prefix, rest));
  if (prefixes.starts_with(origin)) places.push_back(joined(folder_of(holder) + prefixes.substr(origin.size()), rest));
  places.push_back(joined(folder_of(holder), rest));
  places.push_back(rest);
  std::error_code ignored;
  if (const fs::path real = fs::canonical(holder, ignored); !ignored) places.push_back(joined(folder_of(real), rest));
  return places;
}

std::string first_present(const std::vector<std::string>& places) {
  std::string found, folder;
  for (const auto& place : places) {
    std::error_code why;
    const fs::file_status status = fs::status(place, why);
    if (!fs::exists(status) && status.type() != fs::file_type::not_found && found.empty())
      throw IoError(ExitCode::data, fmt::format("'{}' cannot be read: {}", place, why.message()), why.value());
    if (fs::is_directory(status) && folder.empty()) folder = place;
    if (!fs::exists(status) || fs::is_directory(status)) continue;
    if (!fs::is_regular_file(status)) throw data_error("'{}' is {}, not a file", place, h5::kind_text(status));
    if (found.empty()) found = place;
  }
  if (found.empty() && !folder.empty()) throw data_error("'{}' is a folder, not a file", folder);
  return found;
}

h5::Properties guarded_access() {
  h5::Properties access(TRIREME_H5(H5Pcreate(H5P_DATASET_ACCESS), "access properties"));
  TRIREME_H5(H5Pset_elink_cb(access, follow_to_files_only, nullptr), "access properties");
  return access;
}

std::string broken_link(const h5::File& file, const std::string& name) {
  const h5::Properties access = guarded_access();
  std::string at;
  for (const auto& part : split(name, '/')) {
    if (part.empty()) continue;
    at += "/" + part;
    H5L_info_t info{};
    const bool there = H5Lexists(file, at.c_str(), access) > 0 && H5Lget_info(file, at.c_str(), &info, access) >= 0;
    const bool whole = there && (info.type == H5L_TYPE_HARD || H5Oexists_by_name(file, at.c_str(), access) > 0);
    H5Eclear2(H5E_DEFAULT);
    if (!there) return {};
    if (whole) continue;
    std::string value(info.u.val_size + 1, '\0');
    if (H5Lget_val(file, at.c_str(), value.data(), info.u.val_size, access) < 0) return {};
    if (info.type == H5L_TYPE_SOFT) return fmt::format("'{}' is a soft link to '{}', which does not exist", at, value.c_str());
    const char *target = nullptr, *object = nullptr;
    unsigned flags = 0;
    if (info.type != H5L_TYPE_EXTERNAL || H5Lunpack_elink_val(value.data(), info.u.val_size, &flags, &target, &object) < 0) return {};
    const auto places = places_of(h5::name_of_file(file), target, Naming::external_link);
    const std::string link = fmt::format("'{}' is an external link to '{}' in file '{}'", at, object, target);
    std::string why;
    try {
      const std::string found = first_present(places);
      if (!found.empty()) require_readable(found);
      why =
          found.empty() ? fmt::format("the file does not exist; looked for {}", fmt::join(places, ", ")) : "the file is damaged, or does not have this object";
    } catch (const IoError& error) {
      throw IoError(error.code(), fmt::format("{}: {}. Hint: correct the permissions of that file and its folders", link, error.what()), error.number());
    } catch (const Error& error) {
      why = error.what();
    }
    return fmt::format("{}: {}. Hint: restore that file, or set HDF5_EXT_PREFIX to its folder", link, why);
  }
  return {};
}

std::vector<RawFile> raw_files(const h5::Dataset& dataset, const std::string& holder, std::int64_t bytes) {
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), holder));
  std::vector<RawFile> files;
  const int count = H5Pget_layout(creation) == H5D_CONTIGUOUS ? TRIREME_H5(H5Pget_external_count(creation), holder) : 0;
  std::string prefix = variable("HDF5_EXTFILE_PREFIX");
  if (prefix.starts_with(origin)) prefix = folder_of(holder) + prefix.substr(origin.size());
  for (int i = 0; i < count; ++i) {
    std::array<char, 4096> name{};
    off_t offset = 0;
    hsize_t size = 0;
    TRIREME_H5(H5Pget_external(creation, static_cast<unsigned>(i), name.size() - 1, name.data(), &offset, &size), holder);
    const std::int64_t part = size == H5F_UNLIMITED ? bytes : static_cast<std::int64_t>(std::min<hsize_t>(size, static_cast<hsize_t>(bytes)));
    const std::string path = name[0] == '/' || prefix.empty() || prefix == "." ? name.data() : joined(prefix, name.data());
    files.push_back({path, part > 0 ? offset + part : 0});
    bytes -= part;
  }
  return files;
}

}  // namespace trireme::detail
