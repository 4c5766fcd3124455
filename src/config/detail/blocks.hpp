// Blocks: layers that a deck defines once and uses several times.
//
//   [block basic]
//   stride = 1                                       a parameter with a default
//   layer = conv out=$out kernel=3 stride=$stride    $out is a parameter without a default
//   layer = relu
//   layer = add from=relu1,input                     input: the input of the block
//   [model]
//   layer = basic name=stage1 out=16 repeat=3        three instances in a chain
//
// A use of a block is replaced by the layers of the block, in order, named INSTANCE.LAYER. The instance has the name of name=; with repeat the instances are
// NAME.1, NAME.2 and so on; without name= it is named like a layer, by the block and a running number. In from= the name of an instance means its last layer,
// and NAME alone means the last layer of the last instance. A block can use blocks that are defined above it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/deck.hpp"
#include "config/detail/entries.hpp"

namespace trireme::detail {

/// "block NAME" -> NAME; empty for other sections. Throws a usage error if NAME is not a valid name.
std::string block_of_section(std::string_view section, const std::string& where);

/// The layers of a deck, with uses of blocks expanded. All blocks must be defined before the first layer is added.
class LayerList {
 public:
  /// Adds a line below [block NAME].
  void define(const DeckEntry& entry);
  /// Adds a `layer` line of [model]. Throws usage errors that name the line.
  void add(const DeckEntry& entry);

  const std::vector<LayerSpec>& layers() const { return layers_; }

 private:
  struct Block {
    std::string name;
    std::vector<DeckEntry> lines;               // `layer` lines
    std::map<std::string, DeckEntry> defaults;  // default values of parameters
  };
  /// The context of a line: [model], or an instance of a block.
  struct Scope {
    std::string prefix;                             // prefix of layer names, such as "stage1.2."
    std::string input;                              // the layer that `input` refers to
    bool input_given = false;                       // set by from=; a first layer without from= must then name it
    int depth = 0;                                  // nesting of blocks; 0 in [model]
    std::size_t visible = 0;                        // number of blocks that can be used here
    std::string use;                                // location of the instance's use; empty in [model]
    std::map<std::string, std::string> names = {};  // names of layers and instances here -> full names of layers
    std::map<std::string, int> running = {};        // running numbers of unnamed layers and instances, by kind
  };
  void add(LayerSpec spec, const std::string& where, Scope& scope);
  void add_instances(const LayerSpec& use, const std::string& where, Scope& scope);
  void add_instance(std::size_t block, const LayerSpec& use, const std::string& where, Scope scope);
  void resolve_from(LayerSpec& spec, const std::string& where, const Scope& scope) const;
  std::size_t find_block(const std::string& name) const;

  std::vector<Block> blocks_;
  std::vector<LayerSpec> layers_;
  std::string last_ = "input";  // name of the last layer
  std::size_t expanded_ = 0;    // characters of all lines expanded from blocks
  Scope model_{.prefix = "", .input = "input", .use = ""};
};

}  // namespace trireme::detail
