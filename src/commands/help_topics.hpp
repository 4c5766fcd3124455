// trireme help TOPIC: an entry of the deck reference.
#pragma once

#include <string>
#include <vector>

namespace trireme {

/// The complete deck reference as Markdown: keys, kinds and layers.
std::string whole_deck_reference();
/// The help for a topic: "deck", "keys" (only their names), a key ("data.batch", or "batch" if it is unique), a section ("data"), or a kind of layer, loss,
/// optimizer, schedule, metric or importer. Otherwise a usage error suggests similar topics; `commands` are topics, too.
std::string help_of_topic(const std::string& topic, const std::vector<std::string>& commands);
/// "trireme 0.1.0" and the build configuration.
std::string version_text();

}  // namespace trireme
