// The deck reference, generated from the table of keys so that the two always agree.
#include <fmt/format.h>

#include "config/deck.hpp"
#include "config/detail/keys.hpp"
#include "config/detail/section_keys.hpp"
#include "config/exclusions.hpp"

namespace trireme {

namespace {

constexpr const char* introduction =
    "A deck is an INI file: `[section]`, `key = value`, and comments after `#`. In a value, write `\\#` for `#` and `\\\\` for a backslash.\n\n"
    "You can set every key except `layer` on the command line as `--section.key=value`. The value is taken literally. The command line overrides the deck;\n"
    "if you give a key twice, the last value counts. A real number may be a fraction (`1/255`). The items of a list are separated by commas. The run\n"
    "directory keeps a copy of the deck with the values of all keys as `deck.ini`.\n";

constexpr const char* layer_row = "| `layer` | `KIND [name=] [from=a,b] [key=value ...]`, repeated | required | One layer; see below. |\n";

constexpr const char* layer_lines =
    "\nLayers run in the order of their lines. `name` names a layer and its parameters (letters, digits, `_`, `-`, `.`). Without it, the name is the kind "
    "and\na running number. `from` lists the layers whose outputs are the inputs; without it, the input is the output of the previous layer. Further options "
    "depend\non the kind of layer. Write lists with commas and without spaces, as in `kernel=3,5`.\n";

constexpr const char* blocks =
    "\n## [block NAME]\n\nA block is a group of layers with a name. Define it once, then use its name like a kind of layer:\n\n```ini\n[block basic]\nstride = "
    "1                                    # a parameter and its default\nlayer = conv out=$out kernel=3 padding=1 stride=$stride    # $out: a parameter "
    "without a default\nlayer = relu\nlayer = conv name=last out=$out kernel=3 padding=1\nlayer = add from=last,input                   # input: the input of "
    "the block\n[model]\ninput = 3x32x32\nlayer = conv out=16 kernel=3 padding=1\nlayer = basic name=stage out=16 repeat=3      # three in a row: stage.1, "
    "stage.2, stage.3\n```\n\nEach use of a block adds its layers to the network. An added layer is named INSTANCE.LAYER, as in `stage.2.conv1`; its "
    "parameters have this name in\ncheckpoints. INSTANCE is the `name` of the use, followed by `.1`, `.2` and so on if there is a `repeat`. Without `name`, it "
    "is the name of the block and a\nrunning number.\n\n`from` sets the input of a use; without it, the input is the previous layer. In `from`, the name of an "
    "instance means its last layer; `stage` means the\nlast layer of the last repeat. Inside a block, `from` can name the block's own layers and `input`. A "
    "block may use blocks that are defined above it.\nThe deck in the run directory lists the layers after all blocks are expanded.\n";

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
        page += fmt::format("| `{}` | {} | {} | {} |\n", detail::name_in_section(key.name), detail::expectation(key), fallback_text(key), key.help);
    if (section == detail::section_of(detail::layer_key)) page += std::string(layer_row) + layer_lines + blocks;
  }
  for (const detail::SectionKind& kind : detail::section_kinds()) {
    page += fmt::format("\n## [{} NAME]\n\n{}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n", kind.name, kind.help);
    for (const KeySpec& key : kind.keys)
      if (detail::find_key(key.name) == nullptr)
        page += fmt::format("| `{}` | {} | {} | {} |\n", detail::name_in_section(key.name), detail::expectation(key), fallback_text(key), key.help);
  }
  page += "\n## Options that exclude each other\n\n| options | because | what to do |\n| --- | --- | --- |\n";
  for (const Exclusion& exclusion : exclusions()) {
    std::string options;
    for (const Condition& condition : exclusion.conditions) options += fmt::format("{}`{}`", options.empty() ? "" : ", ", condition.text());
    page += fmt::format("| {} | {} | {} |\n", options, exclusion.because, exclusion.remedy);
  }
  return page;
}

}  // namespace trireme
