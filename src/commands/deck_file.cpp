#include "commands/deck_file.hpp"

#include <fstream>
#include <sstream>

namespace trireme {

Deck shared_deck(const Communicator& comm, const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  std::string text;
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::error_code code;
    if (std::filesystem::is_directory(file, code)) throw usage_error("deck '{}' is a directory. Expected an INI file, as inputs/digits/cnn.ini", file.string());
    std::ifstream in(file);
    if (!in) throw usage_error("deck '{}' cannot be read. Hint: check the path; ready decks lie in inputs/", file.string());
    std::ostringstream all;
    all << in.rdbuf();
    text = all.str();
  });
  return Deck(comm.broadcast(text), file.string(), overrides);
}

}  // namespace trireme
