// One forward pass of a network that a deck describes, through the installed headers and libraries.
#include <Kokkos_Core.hpp>
#include <cstdio>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "network/network.hpp"

int main(int argc, char** argv) {
  trireme::Environment environment(argc, argv);
  const Kokkos::ScopeGuard kokkos;
  const trireme::Deck deck("[model]\ninput = 1x8x8\nlayer = conv out=4 kernel=3\nlayer = relu\nlayer = flatten\nlayer = linear out=10\n", "consumer");
  trireme::Network<float> network(deck, 2, trireme::Network<float>::Use::inference);
  network.initialize(1);
  const trireme::Execution exec;
  Kokkos::deep_copy(exec, network.input(), 1.0f);
  network.forward({.exec = exec, .samples = 2});
  exec.fence("consumer: the result is complete");
  std::printf("%lld parameters\n", static_cast<long long>(network.parameter_count()));
  return network.parameter_count() == 4 * 9 + 4 + 144 * 10 + 10 ? 0 : 1;
}
