// Describes a checkpoint or a run directory, and checks that it is intact.
#include <algorithm>
#include <fstream>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "commands/inspect.hpp"
#include "commands/json_output.hpp"
#include "train/snapshot.hpp"

namespace trireme {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// The result of rank 0 for one file.
struct Finding {
  std::string problem;               // why the file cannot be used; empty: no problem
  std::vector<std::string> damaged;  // arrays
  std::vector<CheckpointReader::ArrayInfo> arrays;
  CheckpointContent content;
  bool whole() const { return problem.empty(); }
};

Finding examine(const fs::path& file) {
  Finding finding;
  try {
    const CheckpointReader reader(file);
    finding.arrays = reader.arrays();
    finding.content = reader.content();
    finding.damaged = reader.verify();
    if (!finding.damaged.empty())
      finding.problem = fmt::format("checkpoint '{}' is damaged: the checksums of {} of its {} arrays do not match: {}. Hint: use the previous checkpoint",
                                    file.string(), finding.damaged.size(), finding.arrays.size(), fmt::join(finding.damaged, ", "));
  } catch (const Error& error) {
    finding.problem = error.what();
  }
  return finding;
}

template <class T>
std::string digest_of(const Deck& deck, const Communicator& comm, const fs::path& file) {
  Network<T> network(deck, 1, Network<T>::Use::inference);
  load_snapshot<T>(file, comm, network);
  return parameters_sha256(network);
}

/// The digest that training prints: the parameters in the order of the network of the checkpoint's deck. Collective.
std::string digest(const Communicator& comm, const fs::path& file) {
  const Deck deck = checkpoint_deck(comm, file);
  return deck.text("train.precision") == "fp64" ? digest_of<double>(deck, comm, file) : digest_of<float>(deck, comm, file);
}

json describe(const fs::path& file, const Finding& finding) {
  json object{{"kind", "checkpoint"}, {"file", file.string()}, {"whole", finding.whole()}, {"format_version", checkpoint_format_version}};
  if (!finding.whole()) object["problem"] = finding.problem;
  object["damaged"] = finding.damaged;
  for (const auto& [key, value] : finding.content.integers) object[key] = value;
  for (const auto& [key, value] : finding.content.reals) object[key] = value;
  object["arrays"] = json::array();
  std::int64_t parameters = 0, bytes = 0;
  for (const auto& array : finding.arrays) {
    const bool whole = std::ranges::find(finding.damaged, array.name) == finding.damaged.end();
    object["arrays"].push_back(
        {{"name", array.name}, {"shape", json_of(array.shape)}, {"type", array.is_double ? "float64" : "float32"}, {"bytes", array.bytes}, {"whole", whole}});
    bytes += array.bytes;
    const bool is_buffer = array.name.ends_with(".running_mean") || array.name.ends_with(".running_var");
    if (array.name.starts_with("model/") && !is_buffer) parameters += array.shape.size();
  }
  object["parameters"] = parameters;
  object["bytes"] = bytes;
  object["deck"] = finding.content.deck;
  return object;
}

void print(const json& object) {
  log::info("checkpoint {}: {}", object["file"].get<std::string>(), object["whole"].get<bool>() ? "intact, all checksums match" : "NOT INTACT");
  if (object.contains("step")) {
    std::string progress;
    for (const char* key : {"step", "epoch", "batch", "epoch_samples", "epoch_loss", "seed"})
      if (object.contains(key)) progress += fmt::format("{}{} {}", progress.empty() ? "" : ", ", key, object[key].dump());
    log::info("progress: {}", progress);
  }
  if (!object["arrays"].empty()) {
    std::string table = fmt::format("{} parameters; {} arrays, {}\n  {:<40} {:>20}  {:<8} {:>10}", object["parameters"].get<std::int64_t>(),
                                    object["arrays"].size(), human_bytes(object["bytes"].get<double>()), "array", "shape", "type", "size");
    for (const json& array : object["arrays"]) {
      const auto extents = array["shape"].get<std::vector<std::int64_t>>();
      table += fmt::format("\n  {:<40} {:>20}  {:<8} {:>10}{}", array["name"].get<std::string>(), Shape(std::span(extents)).tuple(),
                           array["type"].get<std::string>(), human_bytes(array["bytes"].get<double>()), array["whole"].get<bool>() ? "" : "  DAMAGED");
    }
    log::info("{}", table);
  }
  if (object.contains("parameters_sha256")) log::info("parameters sha256 {}", object["parameters_sha256"].get<std::string>());
  if (!object["deck"].get<std::string>().empty()) log::info("deck in the checkpoint:\n{}", object["deck"].get<std::string>());
}

/// The last event of each kind in metrics.jsonl.
json last_events(const fs::path& file) {
  json last = json::object();
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const json event = json::parse(line, nullptr, false);
    if (event.is_object() && event.contains("event") && event["event"].is_string()) last[event["event"].get<std::string>()] = event;
  }
  return last;
}

void print_progress(const json& last) {
  const auto text = [](const json& event, const char* key) { return event.contains(key) ? fmt::format("  {} {}", key, event[key].dump()) : std::string(); };
  if (last.contains("start")) {
    const json& start = last["start"];
    log::info("run{}{}{}{}", text(start, "name"), text(start, "ranks"), text(start, "batch"), text(start, "total_steps"));
  }
  for (const char* kind : {"step", "epoch", "stop", "end"}) {
    if (!last.contains(kind)) continue;
    const json& event = last[kind];
    std::string metrics;
    if (event.contains("test") && event["test"].is_object())
      for (const char* key : {"loss", "accuracy", "top5", "precision", "recall", "f1", "mae", "r2"}) metrics += text(event["test"], key);
    log::info("last {:<6}{}{}{}{}{}", kind, text(event, "step"), text(event, "epoch"), text(event, "loss"), metrics.empty() ? "" : "  test:" + metrics,
              text(event, "parameters_sha256"));
  }
}

}  // namespace

int inspect_checkpoint(const Communicator& comm, const InspectRequest& request) {
  Finding finding;
  comm.together([&] {
    if (comm.rank() == 0) finding = examine(request.path);
  });
  const bool whole = comm.all_reduce(comm.rank() == 0 && !finding.whole() ? 1 : 0) == 0;
  json object = describe(request.path, finding);
  if (whole) object["parameters_sha256"] = digest(comm, request.path);
  if (request.json)
    print_json(comm, object);
  else if (comm.rank() == 0)
    print(object);
  if (whole) return 0;
  if (request.json) return static_cast<int>(ExitCode::checkpoint);
  throw Error(ExitCode::checkpoint, comm.broadcast(finding.problem));
}

int inspect_run(const Communicator& comm, const InspectRequest& request) {
  const fs::path path = request.path;
  std::vector<std::pair<fs::path, Finding>> found;
  comm.together([&] {
    if (comm.rank() != 0) return;
    for (const auto& file : list_checkpoints(path)) found.emplace_back(file, examine(file));
  });
  const auto newest = std::ranges::find_if(found, [](const auto& one) { return one.second.whole(); });
  const std::string usable = comm.broadcast(newest == found.end() ? std::string() : newest->first.string());
  const bool lost = comm.all_reduce(usable.empty() && !found.empty() ? 1 : 0) != 0;
  const std::string sha = usable.empty() ? std::string() : digest(comm, usable);

  json object{{"kind", "run"}, {"path", request.path}, {"whole", !lost}, {"checkpoints", json::array()}};
  for (const auto& [file, finding] : found) {
    json one{{"file", file.string()}, {"whole", finding.whole()}};
    if (finding.content.integers.count("step") != 0) one["step"] = finding.content.integers.at("step");
    if (!finding.whole()) one["problem"] = finding.problem, one["damaged"] = finding.damaged;
    object["checkpoints"].push_back(std::move(one));
  }
  if (!usable.empty() && comm.rank() == 0) {
    object["checkpoint"] = usable;
    object["parameters_sha256"] = sha;
    for (const auto& [key, value] : newest->second.content.integers) object[key] = value;
  }
  if (comm.rank() == 0) object["last"] = last_events(path / "metrics.jsonl");

  if (request.json) {
    print_json(comm, object);
  } else if (comm.rank() == 0) {
    log::info("run directory {}", request.path);
    print_progress(object["last"]);
    if (found.empty()) log::info("no checkpoint yet");
    for (const auto& [file, finding] : found) log::info("checkpoint {}: {}", file.string(), finding.whole() ? "intact" : finding.problem);
    if (!usable.empty()) log::info("newest intact checkpoint: {}\nparameters sha256 {}", usable, sha);
  }
  if (!lost) return 0;
  if (request.json) return static_cast<int>(ExitCode::checkpoint);
  throw checkpoint_error("run directory '{}': none of its checkpoints is intact. Hint: restore them from a backup, or start the training from scratch",
                         request.path);
}

}  // namespace trireme
