// Blocks: layers that a deck describes once and uses often.
//
//   [block basic]
//   stride = 1                                       a parameter and its default
//   layer = conv out=$out kernel=3 stride=$stride    $out is a parameter without one
//   layer = relu
//   layer = add from=relu1,input                     input: what the block is given
//   [model]
//   layer = basic name=stage1 out=16 repeat=3        three times, each fed by the one before
//
// A use stands for the block's layers in their order, named INSTANCE.LAYER. An instance is called as name= says, with
// repeat NAME.1, NAME.2 and so on; without name= as layers are, by the block and a running number. In from= the
// instance's name means its last layer, NAME alone the last of the last instance. A block may use blocks that stand
// above it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/deck.hpp"
#include "config/detail/entries.hpp"

namespace trireme::detail {

/// "block NAME" -> NAME; empty for other sections. Throws a usage error where NAME is no name.
std::string block_of_section(std::string_view section, const std::string& where);

/// The layers of a deck, with those that uses of blocks stand for. All blocks are defined before the first layer is
/// added.
class LayerList {
 public:
  /// A line below [block NAME].
  void define(const DeckEntry& entry);
  /// A `layer` line of [model]. Throws usage errors that name the line.
  void add(const DeckEntry& entry);

  const std::vector<LayerSpec>& layers() const { return layers_; }

 private:
  struct Block {
    std::string name;
    std::vector<DeckEntry> lines;               // `layer` lines
    std::map<std::string, DeckEntry> defaults;  // of parameters
  };
  /// Where a line stands: in [model], or in an instance of a block.
  struct Scope {
    std::string prefix;                             // of its layers' names, as "stage1.2."
    std::string input;                              // the layer that `input` means
    bool input_given = false;                       // by from=, so that a first layer without from= must name it
    int depth = 0;                                  // blocks within blocks; 0 in [model]
    std::size_t visible = 0;                        // blocks that may be used
    std::string use;                                // where the instance's use stands; empty in [model]
    std::map<std::string, std::string> names = {};  // own layers and instances -> layers
    std::map<std::string, int> running = {};        // of what has no name, by kind
  };
  void add(LayerSpec spec, const std::string& where, Scope& scope);
  void add_instances(const LayerSpec& use, const std::string& where, Scope& scope);
  void add_instance(std::size_t block, const LayerSpec& use, const std::string& where, Scope scope);
  void resolve_from(LayerSpec& spec, const std::string& where, const Scope& scope) const;
  std::size_t find_block(const std::string& name) const;

  std::vector<Block> blocks_;
  std::vector<LayerSpec> layers_;
  std::string last_ = "input";  // name of the last layer
  std::size_t expanded_ = 0;    // characters of all lines that blocks became
  Scope model_{.prefix = "", .input = "input", .use = ""};
};

}  // namespace trireme::detail
