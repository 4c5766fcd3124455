// What a step must not do: take memory, or launch a kernel without a name of ours. This program replaces operator new to count.
#include <Kokkos_Core.hpp>

#include <atomic>
#include <cstdlib>
#include <new>

#include "networks.hpp"
#include "optim/optimizer.hpp"

namespace {
std::atomic<bool> watching{false};
std::atomic<long> heap{0};
}  // namespace

void* operator new(std::size_t bytes) {
  if (watching) ++heap;
  if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace trireme;
using namespace trireme::test;

namespace {

// What Kokkos reports while a Watch lives.
struct Watch {
  static inline long kernels = 0, allocations = 0, fences = 0;
  static inline std::vector<std::string> labels;
  Watch() {
    kernels = allocations = fences = 0;
    labels.clear();
    const auto kernel = [](const char* name, std::uint32_t, std::uint64_t*) {
      ++kernels;
      labels.emplace_back(name);
    };
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(kernel);
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(kernel);
    Kokkos::Tools::Experimental::set_begin_parallel_scan_callback(kernel);
    Kokkos::Tools::Experimental::set_begin_fence_callback([](const char*, std::uint32_t, std::uint64_t*) { ++fences; });
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t) { ++allocations; });
  }
  ~Watch() {
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_parallel_scan_callback(nullptr);
    Kokkos::Tools::Experimental::set_begin_fence_callback(nullptr);
    Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
  }
};

const std::vector<std::string> all_kinds{"conv name=a out=20 kernel=3 padding=1",
                                         "relu",
                                         "conv name=b out=20 kernel=3 stride=1 padding=1 groups=2",
                                         "add from=a,b",  // a is read twice: its relu cannot be fused
                                         "max_pool kernel=2",
                                         "conv name=c out=9 kernel=3 stride=2 padding=2 dilation=2 bias=false",
                                         "relu",
                                         "avg_pool name=p kernel=2 stride=1 padding=1",
                                         "concat from=p,p",
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
  long launches = 0;
  {
    const Watch watch;
    step();
    launches = Watch::kernels + Watch::fences;
    BOOST_TEST(Watch::allocations == 0);
    BOOST_TEST(Watch::fences == 0);
    BOOST_TEST(Watch::kernels > 30);
    for (const std::string& label : Watch::labels) BOOST_TEST(label.starts_with("trireme::"), "a kernel is named '" << label << "'");
  }
  heap = 0;
  watching = true;
  step();
  watching = false;
  // Kokkos takes a launch's label as std::string, which is one allocation; nothing else may take memory.
  BOOST_TEST_MESSAGE(optimizer << ", " << sizeof(T) << "-byte: " << heap << " heap allocations in " << launches << " launches");
  if (on_host) BOOST_TEST(heap <= launches, heap << " heap allocations in a step of " << launches << " launches: more than their labels");
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
