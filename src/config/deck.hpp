// The deck: the configuration of a run, as an INI file (the dialect of Boost.Program_options) with --section.key=value overrides from the command line.
//
// The table in keys.cpp defines every key once, with type, default, range and description; the deck reference in docs/deck.md is generated from it. Unknown
// keys, wrong types and values out of range are usage errors that name the key, the value found, the legal values and the nearest legal name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.hpp"

namespace trireme {

/// One layer of [model]: `layer = KIND [name=] [from=a,b] [key=value ...]`, from [model] itself or from a block.
struct LayerSpec {
  std::string kind;
  std::string name;                            // empty: KIND + running number
  std::vector<std::string> from;               // empty: the previous layer
  std::map<std::string, std::string> options;  // all other options, as text; checked against the table of the kind
  int number = 0;                              // 1 for the first layer; errors say "layer 3 (conv)"
  std::string text;                            // the line as written, or as expanded from a block
  std::string place;                           // for layers from a block: the lines that use it

  /// For messages: "layer 3 (conv)", with the place if there is one.
  std::string called() const;
};

struct KeySpec {
  enum class Type { integer, real, boolean, text, choice, shape, list };
  std::string name;  // "data.batch"
  Type type;
  std::string fallback;  // default as text
  bool required = false;
  std::vector<std::string> choices;          // for Type::choice
  double low = -1e300, high = 1e300;         // range of numbers, also of each number in a list
  bool open_low = false, open_high = false;  // the end itself is excluded
  bool filled = false;                       // for Type::text: must not be empty
  std::string help;                          // one sentence, including units
};

/// A number from text: "3", "1e-3", "1/255". Throws a usage error that names `what`.
double parse_real(const std::string& text, const std::string& what);
std::int64_t parse_integer(const std::string& text, const std::string& what);

/// All keys of a deck except [model] layer and those of named sections.
const std::vector<KeySpec>& deck_keys();

/// A section with a name, such as [array NAME]: it has every key of its kind. Values are checked when the deck is parsed; a key that the kind does not have is
/// an internal error.
class DeckSection {
 public:
  DeckSection(std::string kind, std::string name);
  const std::string& kind() const { return kind_; }
  const std::string& name() const { return name_; }
  /// "array.features.axes", for messages and the command line.
  std::string full(std::string_view key) const { return kind_ + "." + name_ + "." + std::string(key); }

  const std::string& text(std::string_view key) const;
  std::int64_t integer(std::string_view key) const { return parse_integer(text(key), full(key)); }
  double real(std::string_view key) const { return parse_real(text(key), full(key)); }
  bool boolean(std::string_view key) const { return text(key) == "true"; }
  bool given(std::string_view key) const { return given_.find(std::string(key)) != given_.end(); }
  void set(const std::string& key, const std::string& value, const std::string& where);
  /// Every key with its value.
  const std::map<std::string, std::string, std::less<>>& values() const { return values_; }

 private:
  std::string kind_, name_;
  std::map<std::string, std::string, std::less<>> values_;
  std::set<std::string> given_;
};

class Deck {
 public:
  /// Parses the text of a deck. `origin` names it in messages. `overrides` are "section.key=value" items; later ones win.
  Deck(const std::string& text, const std::string& origin, const std::vector<std::string>& overrides = {});
  /// Parses a deck from a checkpoint or a run directory: old names of keys are replaced by their current names.
  static Deck stored(const std::string& text, const std::string& origin);
  /// Reads a file on this rank. Throws a usage error if it cannot be read.
  static Deck read(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

  // Values, checked when the deck is parsed. An unknown key, or a key of another type, is an internal error; text() works for every type and returns the
  // spelling of resolved().
  std::int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;  // also accepts fractions: "1/255"
  bool boolean(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  std::vector<double> reals(std::string_view key) const;       // Type::list: "0.49, 0.48, 1/255"
  std::vector<std::string> items(std::string_view key) const;  // Type::list, as text
  /// Whether the deck or an override sets the key.
  bool given(std::string_view key) const;

  const std::vector<LayerSpec>& layers() const { return layers_; }
  /// The inputs of model.input. Without names there is one, "features".
  struct Input {
    std::string name;
    Shape shape;
  };
  std::vector<Input> inputs() const;
  /// All inputs joined along the channels.
  Shape input_shape() const;
  /// All named sections, in the order of the deck.
  const std::vector<DeckSection>& named_sections() const { return sections_; }
  /// [KIND NAME]; null: the deck has none.
  const DeckSection* section(std::string_view kind, std::string_view name) const;
  const std::string& origin() const { return origin_; }

  /// The deck with every key and its effective value; it parses to an equal deck.
  std::string resolved() const;

 private:
  const KeySpec& spec(std::string_view key) const;
  void set(const std::string& key, const std::string& value, const std::string& where);
  std::string origin_;
  std::map<std::string, std::string, std::less<>> values_;  // every key of the table
  std::map<std::string, bool, std::less<>> given_;
  std::vector<LayerSpec> layers_;
  std::vector<DeckSection> sections_;
};

/// The deck reference as Markdown, from the table of keys; the caller, which knows the layer kinds, appends them.
std::string deck_reference();

}  // namespace trireme
