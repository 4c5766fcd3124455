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

constexpr const char* blocks =
    "\n## [block NAME]\n\n"
    "Layers that are used more than once are written once, as a block, and used by its name like a kind of layer:\n\n"
    "```ini\n"
    "[block basic]\n"
    "stride = 1                                    # a parameter and its default\n"
    "layer = conv out=$out kernel=3 padding=1 stride=$stride    # $out: a parameter without one\n"
    "layer = relu\n"
    "layer = conv name=last out=$out kernel=3 padding=1\n"
    "layer = add from=last,input                   # input: what the block is given\n"
    "[model]\n"
    "input = 3x32x32\n"
    "layer = conv out=16 kernel=3 padding=1\n"
    "layer = basic name=stage out=16 repeat=3      # three in a row: stage.1, stage.2, stage.3\n"
    "```\n\n"
    "A use stands for the block's layers, named INSTANCE.LAYER as in `stage.2.conv1` (and so their parameters in "
    "checkpoints). An\n"
    "instance is called as `name` says, with `repeat` followed by `.1`, `.2` and so on; without `name` by the block "
    "and a running\n"
    "number. `from` gives a use another input than the layer before, and takes an instance's name for its last layer "
    "(`stage`: of\n"
    "the last one). Within a block `from` knows the block's own layers and `input`. A block may use blocks that stand "
    "above it.\n"
    "The run directory keeps the layers that the blocks have become.\n";

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
    if (section == detail::section_of(detail::layer_key)) page += std::string(layer_row) + layer_lines + blocks;
  }
  return page;
}

}  // namespace trireme
