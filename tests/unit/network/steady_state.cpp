// A step must not allocate memory, nor launch a kernel without a name of ours.
#include <Kokkos_Core.hpp>
#include <set>

#include "networks.hpp"
#include "optim/optimizer.hpp"
#include "support/counted_heap.hpp"
#include "support/watch.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

const std::vector<std::string> all_kinds{"conv name=a out=20 kernel=3 padding=1",
                                         "relu",
                                         "conv name=b out=20 kernel=3 stride=1 padding=1 groups=2",
                                         "add from=a,b",  // a is used twice: its relu cannot be fused
                                         "batch_norm",
                                         "relu",
                                         "max_pool kernel=2",
                                         "conv out=7 kernel=3 padding=1",
                                         "relu",
                                         "max_pool kernel=1,2",
                                         "conv name=c out=9 kernel=3 stride=2 padding=2 dilation=2 bias=false",
                                         "relu",
                                         "avg_pool name=p kernel=2 stride=1 padding=1",
                                         "concat from=p,p",
                                         "group_norm groups=3",
                                         "conv_transpose out=6 kernel=3 stride=2",
                                         "relu",
                                         "upsample scale=2,1 mode=linear",
                                         "instance_norm",
                                         "layer_norm dims=2",
                                         "silu",
                                         "reshape shape=12x9x7",
                                         "max_pool kernel=4 ceil_mode=true",
                                         "scale factor=1/2",
                                         "leaky_relu",
                                         "gelu",
                                         "dropout",
                                         "flatten",
                                         "linear out=30",
                                         "relu",
                                         "linear out=10",
                                         "sigmoid",
                                         "linear out=10",
                                         "tanh",
                                         "linear out=10",
                                         "softmax"};

// Sizes of what Kokkos itself takes in a launch: a handle of the execution space, and the label as std::string.
std::set<std::size_t> sizes_of_launches(const std::vector<std::string>& labels) {
  std::set<std::size_t> sizes;
  for (const std::string& label : labels) sizes.insert(label.size() + 1);
  CountedHeap heap;
  { const Execution handle; }
  for (const std::size_t bytes : heap.taken()) sizes.insert(bytes);
  return sizes;
}

template <class T>
void check_step(const std::string& optimizer) {
  const Deck deck = deck_of(model("3x13x12", all_kinds), {"optimizer.kind=" + optimizer, "optimizer.clip_norm=1"});
  Network<T> network(deck, 5, Network<T>::Use::training);
  network.initialize(1);
  Optimizer<T> rule(deck, network);
  Pass pass = training_pass(5);
  const typename Network<T>::Ready ready = [](std::int64_t) {};
  const auto step = [&] {
    network.zero_gradients(pass.exec);
    network.forward(pass);
    network.backward(pass, ready);
    rule.update(pass.exec, 0.1, pass.step++);
  };
  for (int i = 0; i < 3; ++i) step();
  Kokkos::fence("trireme::test");
  {
    const Watch watch;
    step();
    BOOST_TEST(Watch::allocations == 0);
    BOOST_TEST(Watch::fences.empty());
    BOOST_TEST(Watch::copies == 0);
    BOOST_TEST(Watch::kernels.size() > 30u);
    for (const std::string& label : Watch::kernels) BOOST_TEST(label.starts_with("trireme::"), "a kernel is named '" << label << "'");
  }
  if (!on_host) return;
  const auto of_kokkos = sizes_of_launches(Watch::kernels);
  CountedHeap heap;
  step();
  const auto taken = heap.taken();
  const std::size_t launches = Watch::kernels.size();
  BOOST_TEST_MESSAGE(optimizer << ", " << sizeof(T) << "-byte: " << taken.size() << " heap allocations in " << launches << " launches");
  for (const std::size_t bytes : taken) BOOST_TEST(of_kokkos.contains(bytes), "a step took " << bytes << " bytes from the heap");
  BOOST_TEST(taken.size() <= 3 * launches);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(steady_state)

BOOST_AUTO_TEST_CASE(a_step_takes_no_memory_and_names_its_kernels) {
  for (const std::string optimizer : {"sgd", "adam", "adamw"}) {
    check_step<float>(optimizer);
    check_step<double>(optimizer);
  }
}

BOOST_AUTO_TEST_SUITE_END()
