// trireme inspect PATH [--json] [--full] [--statistics] [--section.key=value ...]: recognises by content what PATH is,
// and says what it holds.
#include "commands/inspect.hpp"

#include <algorithm>

#include "commands/arguments.hpp"
#include "commands/commands.hpp"
#include "io/checkpoint_file.hpp"
#include "io/h5.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

enum class Kind : int { checkpoint, run, data, deck };

/// The text of a root attribute, or nothing.
std::string root_text(const h5::File& file, const char* name) {
  if (H5Aexists(file, name) <= 0) return {};
  const h5::Attribute attribute(H5Aopen(file, name, H5P_DEFAULT));
  const h5::Type type(H5Aget_type(attribute));
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0) return {};
  std::string text(H5Tget_size(type), '\0');
  if (H5Aread(attribute, type, text.data()) < 0) return {};
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

/// Nothing where HDF5 cannot open it.
h5::File try_open(const fs::path& file) {
  h5::quiet();
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return {};  // opening a FIFO waits for ever
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
  return name.starts_with("step-") && name.size() >= 13 &&
         name.find_first_not_of("0123456789", 5) == std::string::npos && named_as_hdf5(file);
}

Kind recognise(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    const bool run = fs::exists(fs::path(path) / "metrics.jsonl", ignored) ||
                     fs::is_directory(fs::path(path) / "checkpoints", ignored) || !list_checkpoints(path).empty();
    return run ? Kind::run : Kind::data;
  }
  if (!fs::exists(path, ignored)) {
    // A glob or a list of shards is no file of its own.
    if (path.find_first_of("*?[,") != std::string::npos) return Kind::data;
    throw usage_error(
        "'{}' does not exist. Expected a checkpoint, a run directory, shards (a file, a folder, a glob) or a deck",
        path);
  }
  if (is_checkpoint(path)) return Kind::checkpoint;
  return named_as_hdf5(path) || H5Fis_hdf5(path.c_str()) > 0 ? Kind::data : Kind::deck;
}

}  // namespace

bool is_checkpoint(const fs::path& path) {
  const h5::File file = try_open(path);
  if (file && H5Aexists(file, "format_version") > 0 && root_text(file, "program") == "trireme") return true;
  // A damaged one may not even say what it is. Simulations call their files so, too: those hold data sets of other
  // names.
  return named_as_checkpoint(path) && (!file || std::ranges::all_of(h5::data_sets(file), [](const std::string& name) {
           return name == "deck" || name.starts_with("model/") || name.starts_with("optimizer/") ||
                  name.starts_with("ema/");
         }));
}

bool is_prediction(const fs::path& path) {
  const h5::File file = try_open(path);
  return file && root_text(file, "program") == "trireme" && root_text(file, "kind") == "predictions";
}

int inspect_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme inspect PATH [--json] [--full] [--statistics] [--section.key=value ...]";
  // Checksums are always verified; who asks for it is right, too.
  const Arguments arguments(words, usage, {}, {"json", "full", "statistics", "checksums"}, true);
  InspectRequest request{arguments.positional(0, "what to inspect"), arguments.flag("json"), arguments.flag("full"),
                         arguments.flag("statistics"), arguments.overrides()};
  if (arguments.positionals() > 1)
    throw usage_error(
        "unexpected word '{}'. Hint: a glob of shards must be quoted, or given as a list with commas. Usage: {}",
        arguments.positional(1, ""), usage);
  int kind = 0;
  comm.together([&] {
    if (comm.rank() == 0) kind = static_cast<int>(recognise(request.path));
  });
  comm.broadcast(std::span(&kind, 1));
  if (request.statistics && static_cast<Kind>(kind) != Kind::data)
    throw usage_error("--statistics is for data; '{}' is {}", request.path,
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

}  // namespace trireme
