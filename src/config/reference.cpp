// The deck reference, printed from the table of keys so that the two cannot drift apart.
#include <fmt/format.h>

#include "config/deck.hpp"
#include "config/detail/keys.hpp"

namespace trireme {

namespace {

constexpr const char* introduction =
    "A deck is an INI file: `[section]`, `key = value`, and comments behind `#`. In a value, `\\#` stands for `#` and "
    "`\\\\` for a\n"
    "backslash. Every key except `layer` can also be given on the command line as `--section.key=value`, taken "
    "literally; the\n"
    "command line wins over the deck, and the later of two over the earlier. Reals may be fractions (`1/255`). Lists "
    "are separated\n"
    "by commas. The run directory keeps the deck with every key and its value in force as `deck.ini`.\n";

constexpr const char* layer_row =
    "| `layer` | `KIND [name=] [from=a,b] [key=value ...]`, repeated | required | One layer; see below. |\n";

constexpr const char* layer_lines =
    "\nLayers run in the order of their lines. `name` names a layer and its parameters (letters, digits, `_`, `-`, "
    "`.`); without it a\n"
    "layer is called by its kind and a running number. `from` lists the layers whose results it takes; without it, "
    "that is the layer\n"
    "before. Further options depend on the kind; lists in them take commas without spaces, as in `kernel=3,5`.\n";

std::string fallback_text(const KeySpec& key) {
  if (key.required) return "required";
  return key.fallback.empty() ? "empty" : fmt::format("`{}`", key.fallback);
}

}  // namespace

std::string deck_reference() {
  std::string page = introduction;
  for (const std::string& section : detail::deck_sections()) {
    page += fmt::format("\n## [{}]\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n", section);
    for (const KeySpec& key : deck_keys())
      if (detail::section_of(key.name) == section)
        page += fmt::format("| `{}` | {} | {} | {} |\n", detail::name_in_section(key.name), detail::expectation(key),
                            fallback_text(key), key.help);
    if (section == detail::section_of(detail::layer_key)) page += std::string(layer_row) + layer_lines;
  }
  return page;
}

}  // namespace trireme
