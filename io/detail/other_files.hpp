// Other files that an HDF5 file refers to: sources of virtual data sets, targets of external links, raw storage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/h5.hpp"

namespace trireme::detail {

enum class Naming { virtual_source, external_link };

/// The paths where HDF5 looks for the file `name` that the file `holder` refers to, in HDF5's order.
std::vector<std::string> places_of(const std::string& holder, const std::string& name, Naming naming);
/// The first of `places` that is a file; empty: none exists. Throws a data error if a place is neither a file nor a folder (HDF5 would open it, and
/// opening a FIFO blocks forever), if a place before the first file cannot be looked up (permission denied), and if there are only folders.
std::string first_present(const std::vector<std::string>& places);

/// Access properties for H5Dopen2, H5Oopen and H5Gopen2: external links are followed only to regular files.
h5::Properties guarded_access();

/// If a link on the path of `name` in `file` is broken, a description: "'/x' is an external link to ..."; else empty. Throws an IoError with this
/// description if the target of an external link cannot be looked up or read (permission denied): that does not mean that it is missing.
std::string broken_link(const h5::File& file, const std::string& name);

/// open_file() for files that HDF5 itself opens, too, such as sources of virtual data sets: with HDF5's usual locks, because both must agree.
h5::File open_as_hdf5_does(const std::string& path, const std::string& what);

/// A part of a data set that is stored in a separate file without HDF5 format.
struct RawFile {
  std::string path;
  std::int64_t least_bytes;  // minimum size; 0: any
};
/// The external raw storage of a data set of `bytes` bytes; empty if it has none.
std::vector<RawFile> raw_files(const h5::Dataset& dataset, const std::string& holder, std::int64_t bytes);

}  // namespace trireme::detail
