// A checkpoint gives back what was put in, or says what is wrong with it; on one rank.
#include "io/checkpoint_file.hpp"

#include <boost/test/unit_test.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "checkpoints.hpp"
#include "h5_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

h5::File open_to_change(const fs::path& path) {
  h5::quiet();
  return h5::File(TRIREME_H5(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), path.string()));
}

/// Where in the file an array lies.
std::size_t offset_of(const fs::path& path, const std::string& name) {
  const h5::File file = open_to_change(path);
  const h5::Dataset dataset(TRIREME_H5(H5Dopen2(file, name.c_str(), H5P_DEFAULT), name));
  return static_cast<std::size_t>(H5Dget_offset(dataset));
}

/// While it lives, one bit of a file is the other way round.
class FlippedBit {
 public:
  FlippedBit(const fs::path& path, std::size_t byte, int bit) : path_(path), byte_(byte), bit_(bit) { flip(); }
  ~FlippedBit() { flip(); }
  FlippedBit(const FlippedBit&) = delete;
  FlippedBit& operator=(const FlippedBit&) = delete;

 private:
  void flip() const {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(byte_));
    const int value = file.get();
    file.seekp(static_cast<std::streamoff>(byte_));
    file.put(static_cast<char>(value ^ (1 << bit_)));
  }
  fs::path path_;
  std::size_t byte_;
  int bit_;
};

void set_integer_attribute(const h5::File& file, const char* name, std::int64_t value) {
  const h5::Attribute attribute(TRIREME_H5(H5Aopen(file, name, H5P_DEFAULT), name));
  TRIREME_H5(H5Awrite(attribute, H5T_NATIVE_INT64, &value), name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_file)

BOOST_AUTO_TEST_CASE(round_trip) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "step-00000001.h5";
  for (std::uint64_t seed = 0; seed < 25; ++seed) {
    const State state = random_state(seed, seed);
    std::int64_t bytes = 0;
    for (const auto& array : state.arrays) bytes += array.shape.size() * (array.is_double ? 8 : 4);
    BOOST_TEST(write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF) == bytes);
    const CheckpointReader reader(path);
    BOOST_TEST(same_content(reader.content(), state.content));
    BOOST_TEST(reader.arrays().size() == state.arrays.size());
    BOOST_TEST(std::ranges::is_sorted(reader.arrays(), {}, &CheckpointReader::ArrayInfo::name));
    BOOST_TEST(reader.verify().empty());
    for (const auto& array : state.arrays) {
      BOOST_REQUIRE(reader.has(array.name));
      BOOST_TEST(same_bytes(array, reader), array.name);
    }
    for (const auto& info : reader.arrays()) {
      const auto at = std::ranges::find(state.arrays, info.name, &CheckpointArray::name);
      BOOST_REQUIRE((at != state.arrays.end()));
      BOOST_TEST((info.shape == at->shape));
      BOOST_TEST(info.is_double == at->is_double);
      BOOST_TEST(info.bytes == at->shape.size() * (at->is_double ? 8 : 4));
    }
    BOOST_TEST(!reader.has("model/nothing"));
  }
  BOOST_TEST(names_in(folder.path()).size() == 1u);
}

BOOST_AUTO_TEST_CASE(reading_converts_between_float_and_double) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  RandomStream random(3);
  State state;
  state.add(random, "model/f", {7, 5}, false);
  state.add(random, "model/d", {7, 5}, true);
  write_checkpoint(path, state.arrays, {}, MPI_COMM_SELF);
  const CheckpointReader reader(path);
  BOOST_TEST(reader.content().deck == "");
  std::vector<float> f(35);
  std::vector<double> d(35);
  reader.read("model/f", d.data(), 35);
  reader.read("model/d", f.data(), 35);
  for (std::size_t i = 0; i < 35; ++i) {
    BOOST_TEST(d[i] == static_cast<double>(state.floats[0][i]));
    BOOST_TEST(f[i] == static_cast<float>(state.doubles[0][i]));
  }
}

BOOST_AUTO_TEST_CASE(arrays_of_many_pieces_of_long_rows_and_of_none) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  RandomStream random(4);
  State state;
  state.add(random, "model/vector", {2'500'000}, false);
  state.add(random, "model/long_rows", {3, 2, 900'000}, false);
  state.add(random, "model/one_row", {1, 1'300'000}, true);
  state.add(random, "model/scalar", {}, true);
  state.add(random, "model/none", {0, 4}, false);
  state.add(random, "model/none_either", {4, 0}, false);
  write_checkpoint(path, state.arrays, {}, MPI_COMM_SELF);
  const CheckpointReader reader(path);
  BOOST_TEST(reader.verify().empty());
  for (const auto& array : state.arrays) BOOST_TEST(same_bytes(array, reader), array.name);
  std::vector<double> as_double(2'500'000);
  reader.read("model/vector", as_double.data(), 2'500'000);
  BOOST_TEST(std::ranges::equal(as_double, state.floats[0]));
}

BOOST_AUTO_TEST_CASE(checksums_are_what_the_format_says) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  RandomStream random(5);
  State state;
  state.add(random, "model/w", {3000, 2, 500}, false);  // several pieces
  write_checkpoint(path, state.arrays, {}, MPI_COMM_SELF);
  std::uint64_t expected = 0;
  for (std::size_t row = 0; row < 3000; ++row) expected += XXH3_64bits_withSeed(state.floats[0].data() + 1000 * row, 4000, row);
  const h5::File file = open_to_change(path);
  const h5::Attribute attribute(H5Aopen_by_name(file, "model/w", "checksum", H5P_DEFAULT, H5P_DEFAULT));
  std::uint64_t found = 0;
  BOOST_REQUIRE(H5Aread(attribute, H5T_NATIVE_UINT64, &found) >= 0);
  BOOST_TEST(found == expected);
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_any_array_is_found_and_named) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  const State state = random_state(77, 12);
  write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF);
  RandomStream random(6);
  for (const auto& array : state.arrays) {
    const std::size_t size = static_cast<std::size_t>(array.shape.size()) * (array.is_double ? 8 : 4);
    const FlippedBit flipped(path, offset_of(path, array.name) + random.below(size), static_cast<int>(random.below(8)));
    const CheckpointReader reader(path);
    BOOST_TEST(reader.verify() == (std::vector<std::string>{array.name}), boost::test_tools::per_element());
    std::vector<float> f(static_cast<std::size_t>(array.shape.size()));
    check_error([&] { reader.read(array.name, f.data(), array.shape.size()); }, ExitCode::checkpoint,
                {path.string(), "'" + array.name + "' is damaged", "checksum", "Hint"});
    for (const auto& other : state.arrays)
      if (other.name != array.name) BOOST_TEST(same_bytes(other, reader), other.name);
  }
}

// Not only arrays: the deck, the progress, names and shapes as well. A flip is detected, or it lay where nothing is
// stored.
BOOST_AUTO_TEST_CASE(a_flipped_bit_anywhere_is_found_or_harmless) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  const State state = random_state(78, 6);
  write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF);
  const std::string whole = bytes_of(path);
  RandomStream random(7);
  int found = 0;
  for (int trial = 0; trial < 1500; ++trial) {
    const std::size_t at = random.below(trial % 2 == 0 ? whole.size() : std::min<std::size_t>(whole.size(), 8192));
    const FlippedBit flipped(path, at, static_cast<int>(random.below(8)));
    try {
      const CheckpointReader reader(path);
      if (!reader.verify().empty()) {
        ++found;
        continue;
      }
      BOOST_TEST_CONTEXT("byte " << at) {
        BOOST_REQUIRE(same_content(reader.content(), state.content));
        BOOST_REQUIRE(reader.arrays().size() == state.arrays.size());
        for (const auto& array : state.arrays) BOOST_REQUIRE(same_bytes(array, reader));
      }
    } catch (const Error& error) {
      BOOST_REQUIRE(static_cast<int>(error.code()) == static_cast<int>(ExitCode::checkpoint));
      BOOST_REQUIRE(std::string(error.what()).find(path.string()) != std::string::npos);
      ++found;
    }
  }
  BOOST_TEST(found > 100);
}

BOOST_AUTO_TEST_CASE(a_file_cut_anywhere_is_detected) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  const State state = random_state(79, 8);
  write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF);
  const std::string whole = bytes_of(path);
  RandomStream random(8);
  std::vector<std::size_t> cuts{0, 1, 8, 47, 48, whole.size() / 2, whole.size() - 1};
  for (int i = 0; i < 50; ++i) cuts.push_back(random.below(whole.size()));
  for (const std::size_t cut : cuts) {
    write_bytes(path, whole.substr(0, cut));
    check_error([&] { CheckpointReader reader(path); }, ExitCode::checkpoint, {path.string()});
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_checkpoint_is_said) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  const auto expect = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all = words;
    all.push_back(path.string());
    check_error([&] { CheckpointReader reader(path); }, ExitCode::checkpoint, all);
  };
  expect({"does not exist"});
  write_bytes(path, "hello");
  expect({"not an HDF5 file", "hello"});
  {
    const h5::File file = new_file(path);
    add_data_set(file, "x", H5T_STD_U8LE, {3, 3});
  }
  expect({"not a checkpoint of Trireme"});

  const State state = random_state(80, 5);
  const auto write = [&] { write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF); };
  write();
  set_integer_attribute(open_to_change(path), "format_version", checkpoint_format_version + 1);
  expect({"format version 2", "reads versions 1 to 1", "newer"});
  for (const char* name : {"model", "optimizer", "progress", "deck"}) {
    write();
    BOOST_REQUIRE(H5Ldelete(open_to_change(path), name, H5P_DEFAULT) >= 0);
    expect({"no '/" + std::string(name) + "'"});
  }
  write();
  BOOST_REQUIRE(H5Ldelete(open_to_change(path), state.arrays[0].name.c_str(), H5P_DEFAULT) >= 0);
  expect({"5 arrays were written", "4 were found"});
  write();
  {
    const h5::File file = open_to_change(path);
    const h5::Dataset deck(H5Dopen2(file, "deck", H5P_DEFAULT));
    const h5::Type type(H5Dget_type(deck));
    std::string other = state.content.deck;
    other[3] = 'X';
    BOOST_REQUIRE(H5Dwrite(deck, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, other.data()) >= 0);
  }
  expect({"'deck' is damaged"});
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_read_is_not_damaged) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5", link = folder / "link.h5";
  const State state = random_state(80, 5);
  write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF);
  BOOST_TEST(damage_of(path) == "");
  fs::create_symlink(path, link);
  BOOST_TEST(damage_of(link) == "");
  set_integer_attribute(open_to_change(path), "format_version", checkpoint_format_version + 1);
  check_error([&] { damage_of(path); }, ExitCode::checkpoint, {path.string(), "format version 2", "may be intact", "Hint", "move this file away"});
  set_integer_attribute(open_to_change(path), "format_version", checkpoint_format_version);
  {
    const FlippedBit flipped(path, offset_of(path, state.arrays[0].name), 3);
    BOOST_TEST(damage_of(path).find("is damaged in " + state.arrays[0].name) != std::string::npos);
  }
  fs::resize_file(path, fs::file_size(path) / 2);
  BOOST_TEST(damage_of(path).find(path.string()) != std::string::npos);
  fs::remove(path);
  check_error([&] { damage_of(link); }, ExitCode::checkpoint, {link.string(), "symbolic link", "may be intact", "Hint"});
}

BOOST_AUTO_TEST_CASE(wrong_names_and_sizes_are_said) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  RandomStream random(9);
  State state;
  state.add(random, "model/conv1.weight", {3, 4}, false);
  write_checkpoint(path, state.arrays, {}, MPI_COMM_SELF);
  const CheckpointReader reader(path);
  std::vector<float> values(12);
  check_error([&] { reader.read("model/conv1.wieght", values.data(), 12); }, ExitCode::checkpoint,
              {path.string(), "'model/conv1.wieght'", "most similar name", "'model/conv1.weight'"});
  check_error([&] { reader.read("model/conv1.weight", values.data(), 11); }, ExitCode::checkpoint, {path.string(), "(3, 4)", "12", "11"});
}

BOOST_AUTO_TEST_CASE(newest_first_and_only_checkpoints) {
  const TemporaryDirectory folder;
  const fs::path run = folder / "run", inner = run / "checkpoints";
  BOOST_TEST(list_checkpoints(run).empty());
  fs::create_directories(inner);
  BOOST_TEST(list_checkpoints(run).empty());
  for (const char* name : {"step-00000005.h5", "step-00000123.h5", "step-100000000.h5", "step-99999999.h5", "step-5.h5", "step-0000000x.h5",
                           ".step-00000200.h5.partial", "step-00000009.h5.partial", "step--0000009.h5", "last.h5", "step-.h5"})
    write_bytes(inner / name, "");
  std::vector<std::string> names;
  for (const auto& path : list_checkpoints(run)) names.push_back(path.filename().string());
  BOOST_TEST(names == (std::vector<std::string>{"step-100000000.h5", "step-99999999.h5", "step-00000123.h5", "step-00000005.h5"}),
             boost::test_tools::per_element());
  BOOST_TEST((list_checkpoints(inner) == list_checkpoints(run)));
  for (const std::int64_t step : {std::int64_t{0}, std::int64_t{1234}, std::int64_t{123456789012}}) {
    fs::remove_all(inner);
    fs::create_directories(inner);
    write_bytes(checkpoint_path(run, step), "");
    BOOST_REQUIRE(list_checkpoints(run).size() == 1u);
    BOOST_TEST((list_checkpoints(run)[0] == checkpoint_path(run, step)));
  }
  BOOST_TEST(checkpoint_path("r", 1234).string() == "r/checkpoints/step-00001234.h5");
}

BOOST_AUTO_TEST_SUITE_END()
