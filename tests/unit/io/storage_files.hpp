// Shards whose rows lie elsewhere, or nowhere: for the tests of storage and of virtual sources.
#pragma once

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "h5_files.hpp"

namespace trireme::test {

namespace fs = std::filesystem;

inline const ShardNames only_x{.features = "/x", .labels = ""};
inline const ShardNames fill_values{.features = "/x", .labels = "", .allow_unwritten = true};

inline void refused(const std::string& path, const std::vector<std::string>& words, const ShardNames& names = only_x) {
  BOOST_TEST_CONTEXT("shard " << path) {
    check_error([&] { describe_shard(path, names); }, ExitCode::data, words);
  }
}

/// All numbers of a shard's /x.
inline std::vector<double> read_all(const std::string& path, const ShardNames& names = only_x) {
  const ShardInfo info = describe_shard(path, names);
  ShardReader reader(info, names);
  std::vector<std::byte> bytes(static_cast<std::size_t>(info.rows * info.sample.size()) * size_of(info.feature_type));
  reader.read_features(0, info.rows, bytes);
  return to_doubles(bytes, info.feature_type);
}

inline std::vector<double> counted(std::size_t n, double from = 1) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), from);
  return values;
}

/// /x of (rows, 2): from, from + 1, ...
inline void make_source(const fs::path& path, hsize_t rows, double from = 1, const std::string& name = "x") {
  const h5::File file = new_file(path);
  add_values(file, name, H5T_IEEE_F32LE, {rows, 2}, counted(rows * 2, from));
}

/// Rows [to, to + count) of the virtual set are rows [from, from + count) of a source of `source_rows`.
struct Piece {
  std::string file, data_set;
  hsize_t to, from, count, source_rows;
};

inline h5::Space rows_of(hsize_t rows, hsize_t first, hsize_t count, hsize_t most = 0) {
  const hsize_t extents[] = {rows, 2}, limits[] = {most == 0 ? rows : most, 2}, start[] = {first, 0}, size[] = {count, 2};
  h5::Space space(TRIREME_H5(H5Screate_simple(2, extents, limits), "space"));
  TRIREME_H5(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, size, nullptr), "space");
  return space;
}

inline void make_virtual(const fs::path& path, hsize_t rows, const std::vector<Piece>& pieces) {
  const h5::File file = new_file(path);
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), "x"));
  for (const Piece& piece : pieces)
    TRIREME_H5(H5Pset_virtual(creation, rows_of(rows, piece.to, piece.count), piece.file.c_str(), piece.data_set.c_str(),
                              rows_of(piece.source_rows, piece.from, piece.count)),
               "x");
  const h5::Space space = rows_of(rows, 0, rows);
  const h5::Dataset made(TRIREME_H5(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT), "x"));
}

/// A virtual set without end: blocks of `rows` rows of files that are numbered, or every k-th row of files that grow.
inline void make_endless(const fs::path& path, const std::vector<std::string>& files, hsize_t rows, bool numbered) {
  const h5::File file = new_file(path);
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), "x"));
  for (std::size_t k = 0; k < files.size(); ++k) {
    h5::Space to = rows_of(rows, 0, rows, H5S_UNLIMITED), from = rows_of(rows, 0, rows, numbered ? 0 : H5S_UNLIMITED);
    const hsize_t start[] = {k, 0}, stride[] = {numbered ? rows : files.size(), 1}, count[] = {H5S_UNLIMITED, 1}, block[] = {numbered ? rows : 1, 2};
    TRIREME_H5(H5Sselect_hyperslab(to, H5S_SELECT_SET, start, stride, count, block), "x");
    const hsize_t source_start[] = {0, 0}, ones[] = {1, 1}, row[] = {1, 2};
    if (!numbered) TRIREME_H5(H5Sselect_hyperslab(from, H5S_SELECT_SET, source_start, ones, count, row), "x");
    TRIREME_H5(H5Pset_virtual(creation, to, files[k].c_str(), "x", from), "x");
  }
  const h5::Space space = rows_of(rows, 0, rows, H5S_UNLIMITED);
  const h5::Dataset made(TRIREME_H5(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT), "x"));
}

}  // namespace trireme::test
