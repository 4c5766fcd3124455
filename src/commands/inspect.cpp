// trireme inspect PATH [--json] [--full] [--statistics] [--section.key=value ...]: finds out from its content what PATH is, and describes it.
#include "commands/inspect.hpp"

#include <algorithm>

#include "commands/arguments.hpp"
#include "commands/commands.hpp"
#include "io/checkpoint_file.hpp"
#include "io/h5.hpp"
#include "io/h5_attributes.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

enum class Kind : int { checkpoint, run, data, deck };

/// The text of a root attribute; empty if there is none.
std::string root_text(const h5::File& file, const char* name) { return h5::find_text_attribute(file, name).value_or(""); }

/// Empty if HDF5 cannot open the file.
h5::File try_open(const fs::path& file) {
  h5::quiet();
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return {};  // opening a FIFO would block
  if (H5Fis_hdf5(file.c_str()) <= 0) return {};
  try {
    return h5::open_file(file.string(), "file", ExitCode::data);
  } catch (const Error&) {
    return {};
  }
}

/// "step-00001234.h5"
bool named_as_checkpoint(const fs::path& file) {
  const std::string name = file.stem().string();
  return name.starts_with("step-") && name.size() >= 13 && name.find_first_not_of("0123456789", 5) == std::string::npos && named_as_hdf5(file);
}

Kind recognise(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    const bool run =
        fs::exists(fs::path(path) / "metrics.jsonl", ignored) || fs::is_directory(fs::path(path) / "checkpoints", ignored) || !list_checkpoints(path).empty();
    return run ? Kind::run : Kind::data;
  }
  if (!fs::exists(path, ignored)) {
    // A glob pattern or a list of shards is not the name of a file.
    if (path.find_first_of("*?[,") != std::string::npos) return Kind::data;
    throw usage_error("'{}' does not exist. Expected a checkpoint, a run directory, shards (a file, a folder or a glob pattern) or a deck", path);
  }
  if (is_checkpoint(path)) return Kind::checkpoint;
  return named_as_hdf5(path) || H5Fis_hdf5(path.c_str()) > 0 ? Kind::data : Kind::deck;
}

}  // namespace

bool is_checkpoint(const fs::path& path) {
  const h5::File file = try_open(path);
  if (file && H5Aexists(file, "format_version") > 0 && root_text(file, "program") == "trireme") return true;
  // A damaged checkpoint may have lost its attributes. Simulations use such file names too, but their datasets have other names.
  return named_as_checkpoint(path) && (!file || std::ranges::all_of(h5::data_sets(file), [](const std::string& name) {
           return name == "deck" || name.starts_with("model/") || name.starts_with("optimizer/") || name.starts_with("ema/") || name.starts_with("data/");
         }));
}

bool is_prediction(const fs::path& path) {
  const h5::File file = try_open(path);
  return file && root_text(file, "program") == "trireme" && root_text(file, "kind") == "predictions";
}

namespace {

int run_inspect(const Communicator& comm, const Arguments& arguments) {
  InspectRequest request{arguments.operand(0, "PATH"), arguments.flag("json"), arguments.flag("full"), arguments.flag("statistics"), arguments.overrides()};
  int kind = 0;
  comm.together([&] {
    if (comm.rank() == 0) kind = static_cast<int>(recognise(request.path));
  });
  comm.broadcast(std::span(&kind, 1));
  if (request.statistics && static_cast<Kind>(kind) != Kind::data)
    throw usage_error("--statistics works on data only, but '{}' is {}", request.path,
                      static_cast<Kind>(kind) == Kind::deck ? "a deck" : "a checkpoint or a run directory");
  switch (static_cast<Kind>(kind)) {
    case Kind::checkpoint:
      return inspect_checkpoint(comm, request);
    case Kind::run:
      return inspect_run(comm, request);
    case Kind::data:
      return inspect_data(comm, request);
    case Kind::deck:
      return inspect_deck(comm, request);
  }
  throw internal_error("inspect: kind {}", kind);
}

}  // namespace

TRIREME_COMMAND(inspect) {
  return {
      .operands = "PATH",
      .help = "Says what a shard, a data set, a deck, a checkpoint or a run directory holds, and verifies checksums of checkpoints. Quote a glob of shards.",
      .options = {{"full", "", "of data: read all rows, verify their checksums and count what is missing"},
                  {"statistics", "", "of data: mean and standard deviation of each channel, as lines for the deck"},
                  {"json", "", "print one JSON object instead"},
                  {"checksums", "", "", true}},  // checksums are always verified
      .overrides = true,
      .place = 5,
      .run = run_inspect};
}

}  // namespace trireme
