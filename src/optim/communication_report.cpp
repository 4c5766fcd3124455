#include "optim/communication_report.hpp"

#include <fmt/format.h>

#include "base/text.hpp"

namespace trireme {

std::string CommunicationReport::text() const {
  std::string text;
  for (const CommunicationLine& line : lines_) {
    text += fmt::format("{}{} over {}: {:.4g} message(s), {} a step; ", text.empty() ? "" : "\n", line.what, line.axis, line.messages, human_bytes(line.bytes));
    if (line.alone_s > 0) text += fmt::format("alone {:.3f} ms, ", 1e3 * line.alone_s);
    text += fmt::format("exposed {:.3f} ms", 1e3 * line.exposed_s);
    if (line.hidden() >= 0) text += fmt::format(", hidden {:.0f} %", 100 * line.hidden());
    if (line.waited_s > line.exposed_s) text += fmt::format("; waited for other ranks {:.3f} ms", 1e3 * (line.waited_s - line.exposed_s));
  }
  return text;
}

nlohmann::json CommunicationReport::json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const CommunicationLine& line : lines_) {
    nlohmann::json one{{"axis", line.axis}, {"what", line.what}, {"messages", line.messages}, {"bytes", line.bytes}, {"exposed_s", line.exposed_s}, {"waited_s", line.waited_s}};
    if (line.alone_s > 0) one["alone_s"] = line.alone_s, one["hidden"] = line.hidden();
    list.push_back(one);
  }
  return list;
}

}  // namespace trireme
