// Files that an HDF5 file names: sources of virtual data sets, targets of external links, raw storage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/h5.hpp"

namespace trireme::detail {

enum class Naming { virtual_source, external_link };

/// Where HDF5 looks for a file `name` that the file `holder` names, in its order.
std::vector<std::string> places_of(const std::string& holder, const std::string& name, Naming naming);
/// The first of `places` where a file is; empty: none. Throws a data error where one is there that is neither a file nor a folder: HDF5 would open it, and
/// opening a FIFO waits for ever.
std::string first_present(const std::vector<std::string>& places);

/// Access properties for H5Dopen2, H5Oopen and H5Gopen2: external links are followed to files only.
h5::Properties guarded_access();

/// Why `name` cannot be reached in `file`, where a link on the way leads to nothing: "'/x' is an external link to ..."; else empty.
std::string broken_link(const h5::File& file, const std::string& name);

/// open_file() for a file that HDF5 itself opens, too, as it does for sources of virtual data sets: with HDF5's usual locks, since both must agree.
h5::File open_as_hdf5_does(const std::string& path, const std::string& what);

/// A part of a data set in a file of its own without HDF5's form.
struct RawFile {
  std::string path;
  std::int64_t least_bytes;  // that it must have; 0: any
};
/// The external raw storage of a data set of `bytes` bytes; empty where it has none.
std::vector<RawFile> raw_files(const h5::Dataset& dataset, const std::string& holder, std::int64_t bytes);

}  // namespace trireme::detail
