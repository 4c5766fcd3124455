// trireme bench kernels [--runs N] [--json]: rates of the kernels that take most of the training time.
#include <functional>

#include "base/log.hpp"
#include "base/random.hpp"
#include "commands/arguments.hpp"
#include "commands/bench.hpp"
#include "commands/json_output.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/gemm.hpp"
#include "kokkos_kernels/machine_peak.hpp"

namespace trireme {

using nlohmann::json;

namespace {

Buffer<float> noise(const char* label, std::int64_t count) {
  Buffer<float> buffer(label, static_cast<std::size_t>(std::max<std::int64_t>(count, 1)));
  const auto host = Kokkos::create_mirror_view(buffer);
  RandomStream random(3);
  for (std::size_t i = 0; i < host.size(); ++i) host(i) = static_cast<float>(random.uniform(-1, 1));
  Kokkos::deep_copy(buffer, host);
  return buffer;
}

struct ConvCase {
  const char* name;
  std::int64_t samples, in, out;
  int dims;
  std::int64_t extent, kernel, padding;

  ConvGeometry geometry() const {
    ConvGeometry g;
    g.in_channels = in;
    g.out_channels = out;
    for (int d = 3 - dims; d < 3; ++d) {
      const auto a = static_cast<std::size_t>(d);
      g.in[a] = extent;
      g.kernel[a] = kernel;
      g.padding[a] = padding;
      g.out[a] = conv_extent(extent, kernel, 1, padding, 1);
    }
    return g;
  }
};

const ConvCase conv_cases[] = {
    {"cifar10/lenet 3->6 k5", 100, 3, 6, 2, 32, 5, 0}, {"cifar10/lenet 6->16 k5", 100, 6, 16, 2, 14, 5, 0}, {"mnist/cnn 1->32 k3", 128, 1, 32, 2, 28, 3, 1},
    {"mnist/cnn 32->64 k3", 128, 32, 64, 2, 14, 3, 1}, {"resnet 16->16 k3", 128, 16, 16, 2, 32, 3, 1},      {"resnet 32->32 k3", 128, 32, 32, 2, 16, 3, 1},
    {"resnet 64->64 k3", 128, 64, 64, 2, 8, 3, 1},     {"3-D 16->32 k3", 16, 16, 32, 3, 16, 3, 1},
};

struct GemmCase {
  std::int64_t m, k, n;
};
const GemmCase gemm_cases[] = {{2048, 2048, 2048}, {128, 784, 100}, {256, 512, 512}};

json measure_gemm(const Execution& exec, const GemmCase& c, int runs) {
  const double rate = gemm_rate<float>(exec, c.m, c.k, c.n, runs), work = 2 * static_cast<double>(c.m * c.k * c.n);
  return {{"m", c.m}, {"k", c.k}, {"n", c.n}, {"gflops", 1e-9 * rate}, {"seconds", work / rate}};
}

json measure_conv(const Execution& exec, const ConvCase& c, int runs) {
  const ConvGeometry g = c.geometry();
  const ConvPlan<float> plan(g, {.slope = 0});
  const auto x = noise("trireme::bench::x", c.samples * g.in_pixels() * g.in_channels),
             y = noise("trireme::bench::y", c.samples * g.out_pixels() * g.out_channels);
  const auto w = noise("trireme::bench::w", g.weights()), bias = noise("trireme::bench::bias", g.out_channels);
  const auto dx = noise("trireme::bench::dx", static_cast<std::int64_t>(x.size())), dw = noise("trireme::bench::dw", g.weights());
  const auto dbias = noise("trireme::bench::dbias", g.out_channels), workspace = noise("trireme::bench::workspace", plan.workspace(c.samples));
  const double work = 2e-9 * static_cast<double>(c.samples * g.multiply_adds());
  const auto rate = [&](const std::function<void()>& kernel) { return work / seconds_of(exec, runs, kernel); };
  return {{"name", c.name},
          {"samples", c.samples},
          {"in_channels", c.in},
          {"out_channels", c.out},
          {"extent", c.extent},
          {"dimensions", c.dims},
          {"kernel", c.kernel},
          {"forward_gflops", rate([&] { plan.forward(exec, c.samples, x, w, bias, y, {}, workspace); })},
          {"backward_data_gflops", rate([&] { plan.backward_data(exec, c.samples, {.dy = y, .y = {}, .index = {}}, w, dx, workspace); })},
          {"backward_weights_gflops", rate([&] { plan.backward_weights(exec, c.samples, x, {.dy = y, .y = {}, .index = {}}, dw, dbias, workspace); })}};
}

}  // namespace

namespace {

int run_kernels(const Communicator& comm, const Arguments& arguments) {
  const auto runs = static_cast<int>(count_option(arguments.option("runs", "7"), "--runs", 5));
  const bool as_json = arguments.flag("json");
  const Execution exec;
  const auto say = [&]<class... Args>(fmt::format_string<Args...> text, Args&&... args) {
    if (!as_json) log::info(text, std::forward<Args>(args)...);
  };
  const std::string convolutions = on_host ? "own kernels" : "portable";

  json all{{"bench", "kernels"},
           {"ranks", comm.size()},
           {"threads", exec.concurrency()},
           {"space", Execution::name()},
           {"runs", runs},
           {"gemm_provider", gemm_provider()},
           {"gemm", json::array()},
           {"convolution", json::array()}};
  say("bench kernels: {}, {} thread(s) per rank, {} rank(s) at the same time (rates of rank 0); medians of {} runs", Execution::name(), exec.concurrency(),
      comm.size(), runs);
  comm.barrier();
  all["triad_gbytes_per_s"] = 1e-9 * triad_rate(exec, std::int64_t{1} << 24, runs);
  say("\nmemory, triad                       {:>8.1f} GB/s", all["triad_gbytes_per_s"].get<double>());
  say("\nmatrix products, float ({})        GFLOP/s", gemm_provider());
  for (const GemmCase& c : gemm_cases) {
    comm.barrier();
    all["gemm"].push_back(measure_gemm(exec, c, runs));
    say("  {:<33} {:>8.1f}", fmt::format("{} x {} x {}", c.m, c.k, c.n), all["gemm"].back()["gflops"].get<double>());
  }
  say("\nconvolutions, float ({}), GFLOP/s   forward  backward data  backward weights", convolutions);
  for (const ConvCase& c : conv_cases) {
    comm.barrier();
    all["convolution"].push_back(measure_conv(exec, c, runs));
    const json& one = all["convolution"].back();
    const std::string size = c.dims == 3 ? fmt::format("{}^3", c.extent) : fmt::format("{}^2", c.extent);
    say("  {:<24} {:>6} x {:<5} {:>8.1f}  {:>13.1f}  {:>16.1f}", c.name, size, c.samples, one["forward_gflops"].get<double>(),
        one["backward_data_gflops"].get<double>(), one["backward_weights_gflops"].get<double>());
  }
  if (as_json) print_json(comm, all);
  return 0;
}

}  // namespace

CommandKind bench_kernels() {
  return {.name = "bench kernels",
          .operands = "",
          .help = "Measures memory, matrix products and convolutions.",
          .options = {{"runs", "N", "runs of each, at least 5 (default: 7)"}, {"json", "", "print one JSON object instead"}},
          .operands_most = 0,
          .run = run_kernels};
}

}  // namespace trireme
