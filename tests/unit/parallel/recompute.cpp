// Activation checkpointing on random networks and grids: the same bits as without on the same grid, and no more memory than planned.
//   TRIREME_CASES (60), TRIREME_SEED (20261126), TRIREME_CASE (one case alone)
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "drawn.hpp"
#include "support/temporary_directory.hpp"
#include "train/trainer.hpp"

namespace trireme::test {
namespace {

std::uint64_t setting(const char* name, std::uint64_t fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

struct Course {
  std::vector<double> losses;
  std::vector<std::byte> arrays;  // gradients of the first step, and the parameters after the last
  std::int64_t segments = 1, bytes = 0;
};

template <class T>
void append(std::vector<std::byte>& to, Span<const T> arena) {
  std::vector<T> values(arena.size());
  Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>> host(values.data(), values.size());
  Kokkos::deep_copy(host, arena);
  const auto bytes = std::as_bytes(std::span<const T>(values));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

template <class T>
Course train(const Deck& deck, const Communicator& comm) {
  Trainer<T> trainer(deck, comm);
  Network<T>& network = trainer.network();
  Course course;
  trainer.begin();
  while (trainer.progress().step < trainer.total_steps()) {
    trainer.step();
    course.losses.push_back(trainer.last_loss());
    if (trainer.progress().step == 1 && !deck.boolean("optimizer.shard")) append<T>(course.arrays, network.gradients());
  }
  append<T>(course.arrays, network.values());
  const Buffer<T>& running = network.buffer_arena();
  append<T>(course.arrays, Span<const T>(running.data(), running.size()));
  course.segments = static_cast<std::int64_t>(network.recomputed().segments);
  course.bytes = network.summary().temporary_bytes;
  return course;
}

Course run(const DrawnCase& c, const std::string& text, const Communicator& comm) {
  const Deck deck(text, "random");
  try {
    return c.fp64 ? train<double>(deck, comm) : train<float>(deck, comm);
  } catch (const std::exception& error) {  // the other ranks may wait for this one forever
    std::fprintf(stderr, "rank %d: %s\nin\n%s\n", comm.rank(), error.what(), text.c_str());
    MPI_Abort(MPI_COMM_WORLD, 1);
    throw;
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(recomputed_networks_compute_the_same_bits_on_random_grids) {
  const Communicator world = Communicator::world();
  const std::uint64_t seed = setting("TRIREME_SEED", 20261126), cases = setting("TRIREME_CASES", 60), alone = setting("TRIREME_CASE", ~0ull);
  TemporaryDirectory folder;
  const std::string place = world.broadcast(folder.path().string());
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t number = 0; number < cases; ++number) numbers.push_back(number % 5 == 4 ? first_of_one_sample + number : number);
  if (alone != ~0ull) numbers = {alone};
  int ran = 0, recomputed = 0, split = 0, staged = 0;
  for (const std::uint64_t number : numbers) {
    const DrawnCase c = CaseMaker(seed, number).make();
    if (c.ranks > world.size()) continue;
    ++ran;
    const std::string base = place + "/" + std::to_string(number), data = base + "-data.h5";
    const auto text = [&](const std::string& option) {
      std::string deck = c.deck;
      deck.replace(deck.find("[train]\n"), 8, "[train]\nrecompute = " + option + "\n");
      return deck + "train = " + data + "\n[run]\noutput = " + base + "-" + option + "\n[checkpoint]\nresume = never\n" + c.parallel;
    };
    if (alone != ~0ull && world.rank() == 0) std::printf("%s\n", text("auto").c_str()), std::fflush(stdout);
    if (world.rank() == 0) make_rows(data, c, seed + number);
    world.barrier();
    const Communicator group = world.split(world.rank() < c.ranks ? 0 : 1, world.rank());
    if (world.rank() < c.ranks) {
      const Course plain = run(c, text("none"), group);
      for (const std::string option : {"auto", "2", "9"}) {
        const Course other = run(c, text(option), group);
        BOOST_TEST_CONTEXT("rank " << world.rank() << ", case " << number << " of seed " << seed << ":\n" << text(option)) {
          BOOST_TEST((plain.losses == other.losses));
          BOOST_TEST((plain.arrays == other.arrays));
        }
        if (other.segments < 2) continue;
        ++recomputed;
        split += c.parallel.find("spatial = 1") == c.parallel.npos ? 1 : 0;
        staged += c.parallel.find("pipeline = 1") == c.parallel.npos ? 1 : 0;
      }
    }
    world.barrier();
  }
  if (world.rank() == 0) std::printf("%d cases ran, %d recomputed, %d with split pixels, %d with stages\n", ran, recomputed, split, staged);
  if (alone == ~0ull) BOOST_TEST(ran > 0);
}

}  // namespace trireme::test
