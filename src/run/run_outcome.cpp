#include "run/run_outcome.hpp"

#include <sstream>
#include <string>

#include "io/record_file.hpp"

namespace trireme {

nlohmann::json outcome_of(const std::filesystem::path& run_directory) {
  nlohmann::json outcome{{"ended", false}};
  double seconds = 0;
  std::istringstream in(read_record(run_directory / "metrics.jsonl").value_or(""));
  for (std::string line; std::getline(in, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_object()) continue;
    const std::string kind = event.contains("event") && event["event"].is_string() ? event["event"].get<std::string>() : "";
    const auto take = [&](const char* key) {
      if (const auto found = event.find(key); found != event.end()) outcome[key] = *found;
    };
    if (kind == "start") take("total_steps");
    if (kind == "step") outcome["train_loss"] = event.value("loss", nlohmann::json());
    if (kind == "epoch") {
      take("test");
      if (event.contains("train") && event["train"].is_object()) outcome["train_loss"] = event["train"].value("loss", nlohmann::json());
    }
    if (kind == "end" || kind == "stop") {
      take("parameters_sha256");
      take("test");
      if (event.contains("seconds") && event["seconds"].is_number()) seconds += event["seconds"].get<double>();
    }
    if (kind != "profile") take("step");
    outcome["ended"] = kind == "end" || (kind == "profile" && outcome["ended"]);
  }
  outcome["seconds"] = seconds;
  return outcome;
}

}  // namespace trireme
