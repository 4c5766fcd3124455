#include "io/h5.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include "base/text.hpp"
#include "io/detail/other_files.hpp"

namespace trireme::h5 {

namespace {

herr_t collect_description(unsigned, const H5E_error2_t* error, void* data) {
  auto& descriptions = *static_cast<std::vector<std::string>*>(data);
  std::string text = error->desc != nullptr ? error->desc : "";
  std::ranges::replace(text, '\n', ' ');  // messages of drivers contain the time with a newline
  // Several levels of the library often repeat the same message.
  if (!text.empty() && std::ranges::find(descriptions, text) == descriptions.end()) descriptions.push_back(text);
  return 0;
}

constexpr std::size_t deepest_group = 32, most_names = 10000;

struct Listing {
  std::string group;                        // group whose links are being visited; empty: the first one
  std::vector<std::string> groups;          // still to be visited
  std::size_t seen = 0, most = most_names;  // links
  std::vector<std::string> data_sets, unreadable;
};

herr_t list_link(hid_t group, const char* name, const H5L_info_t* info, void* data) {
  auto& listing = *static_cast<Listing*>(data);
  if (++listing.seen > listing.most) return 1;
  const Properties access = detail::guarded_access();
  const hid_t object = H5Oopen(group, name, access);
  const std::string path = listing.group.empty() ? name : listing.group + "/" + name;
  if (object < 0) {  // a dangling link, or a damaged object
    listing.unreadable.push_back(path);
    return 0;
  }
  const H5I_type_t type = H5Iget_type(object);
  if (type == H5I_DATASET) listing.data_sets.push_back(path);
  const bool deep = static_cast<std::size_t>(std::ranges::count(path, '/')) + 1 >= deepest_group;
  if (type == H5I_GROUP && info->type == H5L_TYPE_HARD && !deep) listing.groups.push_back(path);
  H5Oclose(object);
  return 0;
}

}  // namespace

void quiet() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

std::string error_stack(int* number) {
  std::vector<std::string> descriptions;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, collect_description, &descriptions);
  H5Eclear2(H5E_DEFAULT);
  if (number != nullptr) {
    *number = 0;
    constexpr std::string_view mark = "errno = ";  // text of the drivers
    for (const auto& text : descriptions)
      if (const auto at = text.find(mark); at != std::string::npos) std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), *number);
  }
  // Keep the outermost and the innermost message; the levels between matter only to HDF5.
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

std::string name_of_file(hid_t object) {
  const ssize_t length = TRIREME_H5(H5Fget_name(object, nullptr, 0), "the name of a file");
  std::string name(static_cast<std::size_t>(length) + 1, '\0');
  TRIREME_H5(H5Fget_name(object, name.data(), name.size()), "the name of a file");
  name.resize(static_cast<std::size_t>(length));
  return name;
}

std::vector<std::int64_t> extents(const Dataset& dataset, const std::string& context, ExitCode code) {
  const Space space(TRIREME_H5_AS(code, H5Dget_space(dataset), context));
  const int rank = TRIREME_H5_AS(code, H5Sget_simple_extent_ndims(space), context);
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
  TRIREME_H5_AS(code, H5Sget_simple_extent_dims(space, sizes.data(), nullptr), context);
  return {sizes.begin(), sizes.end()};
}

std::vector<std::string> data_sets(hid_t group) { return list_data_sets(group, most_names).data_sets; }

DatasetList list_data_sets(hid_t group, std::size_t most) {
  Listing listing;
  listing.most = most;
  listing.groups.emplace_back();
  while (!listing.groups.empty() && listing.seen <= most) {
    listing.group = std::move(listing.groups.back());
    listing.groups.pop_back();
    const Group inner(listing.group.empty() ? H5I_INVALID_HID : H5Gopen2(group, listing.group.c_str(), H5P_DEFAULT));
    if (listing.group.empty() || inner) H5Literate(inner ? static_cast<hid_t>(inner) : group, H5_INDEX_NAME, H5_ITER_INC, nullptr, list_link, &listing);
  }
  H5Eclear2(H5E_DEFAULT);
  std::ranges::sort(listing.data_sets);
  return {std::move(listing.data_sets), std::move(listing.unreadable), listing.seen <= most};
}

bool link_exists(hid_t group, const std::string& path) {
  const Properties access = detail::guarded_access();
  std::string at;
  bool there = true;
  for (const auto& part : split(path, '/')) {
    if (part.empty()) continue;
    at += (at.empty() ? "" : "/") + part;
    const htri_t found = there ? H5Lexists(group, at.c_str(), access) : 0;
    there = found > 0;
    if (found >= 0) continue;
    // A link that leads nowhere does not exist; a file system that fails for a moment says nothing about it.
    int number = 0;
    const std::string words = error_stack(&number);
    if (const IoError error(ExitCode::data, fmt::format("'{}:{}' cannot be looked up: {}", name_of_file(group), at, words), number); error.may_pass())
      throw error;
  }
  H5Eclear2(H5E_DEFAULT);
  return there && !at.empty();
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
