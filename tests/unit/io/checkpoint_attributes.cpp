// Attributes of another form than a checkpoint's: arrays, other types, nothing. Each is a checkpoint error that names it, and no memory is written past its
// end.
#include <boost/test/unit_test.hpp>

#include "checkpoints.hpp"
#include "h5_files.hpp"
#include "io/h5_attributes.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

h5::File open_to_change(const fs::path& path) {
  h5::quiet();
  return h5::File(TRIREME_H5(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), path.string()));
}

struct Place {
  const char *object, *name;
};
// One of each that a checkpoint has.
const std::vector<Place> places{{"/", "format_version"}, {"/", "arrays"},       {"/", "program"},        {"/progress", "step"},
                                {"/progress", "lr"},     {"/deck", "checksum"}, {"/model/w", "checksum"}};

/// Puts an attribute of `extents` elements (-1: scalar, -2: none at all) under the name.
void replace(const fs::path& path, const Place& place, hid_t type, int extents) {
  const h5::File file = open_to_change(path);
  BOOST_REQUIRE(H5Adelete_by_name(file, place.object, place.name, H5P_DEFAULT) >= 0);
  const hsize_t count = extents > 0 ? static_cast<hsize_t>(extents) : 1;
  const h5::Space space(extents == -2 ? H5Screate(H5S_NULL) : extents == -1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr));
  const h5::Attribute made(TRIREME_H5(H5Acreate_by_name(file, place.object, place.name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), place.name));
  if (extents == -2) return;
  const std::vector<char> bytes(count * H5Tget_size(type), 1);
  BOOST_REQUIRE(H5Awrite(made, type, bytes.data()) >= 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_attributes)

BOOST_AUTO_TEST_CASE(only_one_element_of_the_stated_type_is_taken) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  RandomStream random(3);
  State state;
  state.add(random, "model/w", {4, 3}, false);
  state.content.deck = "[run]\nname = a\n";
  state.content.integers = {{"step", 7}};
  state.content.reals = {{"lr", 0.5}};

  const h5::Type text(H5Tcopy(H5T_C_S1)), variable(H5Tcopy(H5T_C_S1));
  BOOST_REQUIRE(H5Tset_size(text, 7) >= 0);
  BOOST_REQUIRE(H5Tset_size(variable, H5T_VARIABLE) >= 0);
  const struct {
    const char* called;
    hid_t type;
    int extents;
  } forms[] = {{"8000 elements", H5T_STD_I64LE, 8000}, {"8000 elements", H5T_STD_U64LE, 8000}, {"8000 elements", H5T_IEEE_F64LE, 8000}, {"2 elements", text, 2},
               {"0 elements", H5T_STD_I64LE, -2},      {"int32", H5T_STD_I32LE, -1},           {"float32", H5T_IEEE_F32LE, -1}};
  for (const Place& place : places)
    for (const auto& form : forms) {
      BOOST_TEST_CONTEXT(place.object << " " << place.name << ": " << form.called) {
        write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF);
        BOOST_TEST(CheckpointReader(path).verify().empty());
        replace(path, place, form.type, form.extents);
        if (std::string(place.object) == "/model/w") {  // looked at with the array
          const CheckpointReader reader(path);
          BOOST_TEST(reader.verify() == (std::vector<std::string>{"model/w"}), boost::test_tools::per_element());
          std::vector<float> values(12);
          check_error([&] { reader.read("model/w", values.data(), 12); }, ExitCode::checkpoint, {path.string(), "'checksum'", form.called});
        } else {
          check_error([&] { CheckpointReader reader(path); }, ExitCode::checkpoint, {path.string(), std::string("'") + place.name + "'", form.called});
        }
      }
    }
}

BOOST_AUTO_TEST_CASE(places_in_the_run_do_not_count_below_zero) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "c.h5";
  for (const char* name : {"step", "epoch", "batch", "epoch_samples", "epoch_steps"}) {
    CheckpointContent content;
    content.deck = "x";
    content.integers = {{"step", 7}, {"epoch", 1}};
    content.integers[name] = -1;
    write_checkpoint(path, {}, content, MPI_COMM_SELF);
    check_error([&] { CheckpointReader reader(path); }, ExitCode::checkpoint, {path.string(), std::string("'") + name + "' is -1", "Hint"});
  }
}

BOOST_AUTO_TEST_CASE(texts_that_are_none_are_not_found) {
  const TemporaryDirectory folder;
  const fs::path path = folder / "x.h5";
  const h5::File file = new_file(path);
  const h5::Type text(H5Tcopy(H5T_C_S1));
  BOOST_REQUIRE(H5Tset_size(text, 60000) >= 0);
  const h5::Space one(H5Screate(H5S_SCALAR));
  const h5::Attribute made(TRIREME_H5(H5Acreate2(file, "program", text, one, H5P_DEFAULT, H5P_DEFAULT), "program"));
  BOOST_TEST(!h5::find_text_attribute(file, "program"));
  BOOST_TEST(!h5::find_text_attribute(file, "absent"));
  check_error([&] { h5::text_attribute(file, "program", "here", ExitCode::data); }, ExitCode::data, {"here", "60000 bytes"});
}

BOOST_AUTO_TEST_SUITE_END()
