// The deck: what a run shall do, as an INI file (Boost.Program_options' dialect) plus --section.key=value on the
// command line.
//
// Every legal key stands once in the table of keys.cpp with its type, default, range and meaning; the deck reference in
// docs/deck.md is printed from that table. Unknown keys, values out of range and wrong types are usage errors that name
// the key, what was found, what is legal and the nearest legal name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// One layer of [model]: `layer = KIND [name=] [from=a,b] [key=value ...]`, a line of its own or one of a block.
struct LayerSpec {
  std::string kind;
  std::string name;                            // empty: the network names it KIND + running number
  std::vector<std::string> from;               // empty: the layer before
  std::map<std::string, std::string> options;  // what else was given, as text; the kind's table of options checks it
  int number = 0;                              // 1 for the first layer: errors say "layer 3 (conv)"
  std::string text;                            // the line as written, or as a block's line became
  std::string place;                           // of layers that a block brought: the lines that did

  /// For messages: "layer 3 (conv)", with the place where there is one.
  std::string called() const;
};

struct KeySpec {
  enum class Type { integer, real, boolean, text, choice, shape, list };
  std::string name;  // "data.batch"
  Type type;
  std::string fallback;  // default as text
  bool required = false;
  std::vector<std::string> choices;          // of Type::choice
  double low = -1e300, high = 1e300;         // range of numbers, also of each number of a list
  bool open_low = false, open_high = false;  // whether the end itself is excluded
  bool filled = false;                       // of Type::text: must not be empty
  std::string help;                          // one sentence, units included
};

/// All keys of a deck except [model] layer.
const std::vector<KeySpec>& deck_keys();

class Deck {
 public:
  /// Parses deck text. `origin` names it in messages. `overrides` are "section.key=value" items, later ones win.
  Deck(const std::string& text, const std::string& origin, const std::vector<std::string>& overrides = {});
  /// Reads a file on this rank. Throws a usage error when it cannot be read.
  static Deck read(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

  // Values, checked when the deck was parsed. Asking for a key that is not in the table, or for
  // another type than the key has, is an internal error; text() answers for every type, in the spelling of resolved().
  std::int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;  // also accepts fractions: "1/255"
  bool boolean(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  std::vector<double> reals(std::string_view key) const;       // Type::list: "0.49, 0.48, 1/255"
  std::vector<std::string> items(std::string_view key) const;  // Type::list as texts
  /// Whether the deck or an override gave the key.
  bool given(std::string_view key) const;

  const std::vector<LayerSpec>& layers() const { return layers_; }
  const std::string& origin() const { return origin_; }

  /// The deck with every key and its value in force; parses back to an equal deck.
  std::string resolved() const;

 private:
  const KeySpec& spec(std::string_view key) const;
  std::string origin_;
  std::map<std::string, std::string, std::less<>> values_;  // every key of the table
  std::map<std::string, bool, std::less<>> given_;
  std::vector<LayerSpec> layers_;
};

/// The deck reference as Markdown, from the table of keys alone; the caller that knows layer kinds appends them.
std::string deck_reference();

/// Number from text: "3", "1e-3", "1/255". Throws a usage error naming `what`.
double parse_real(const std::string& text, const std::string& what);
std::int64_t parse_integer(const std::string& text, const std::string& what);

}  // namespace trireme
