#include "data/batch_stream.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/timer.hpp"
#include "comm/rank_status.hpp"
#include "data/row_loader.hpp"
#include "data/window_plan.hpp"

namespace trireme {

namespace {

constexpr std::int64_t usual_chunk_bytes = 1 << 20, usual_window_bytes = 32 << 20, whole_bytes = 64 << 20;

Shares shares_of(const BatchStream::Options& o) { return o.virtual_ranks > 0 ? Shares::of_virtual_ranks(o.virtual_ranks, o.ranks) : Shares(o.ranks); }

Planner make_planner(const DataSet& data, const BatchStream::Options& o, bool cached) {
  if (o.batch <= 0 || o.ranks <= 0 || o.rank < 0 || o.rank >= o.ranks) throw internal_error("BatchStream: batch {}, rank {} of {}", o.batch, o.rank, o.ranks);
  const auto order = BatchStream::shuffle_order(data, o);
  // For Order::blocks a window only limits the memory.
  if (o.order == BatchStream::Order::blocks) return Planner(data.size(), o.batch, cached ? data.size() : order.window, o.rank, o.ranks);
  const auto draw = o.order == BatchStream::Order::stored ? Sampler::Draw::in_order : order.whole ? Sampler::Draw::freely : Sampler::Draw::from_strata;
  const std::int64_t most = o.virtual_ranks > 0 ? shares_of(o).of(o.batch, o.rank).count : o.most;
  return Planner(Sampler(data.starts(), o.batch, order.chunk, order.window, o.seed, draw), data.size(), o.batch, o.rank, o.ranks, most);
}

}  // namespace

struct BatchStream::Impl {
  struct Place {  // position of a batch in the sequence of epochs
    std::int64_t epoch = 0, index = 0;
    bool operator==(const Place&) const = default;
  };
  using Lock = std::unique_lock<std::mutex>;

  Impl(const DataSet& data_set, IoThread& io_thread, const Options& options)
      : data(data_set),
        io(io_thread),
        // Counts whole rows, whatever part of them is read: the order depends on it, and must be the same for all parts of a sample.
        cached(data.size() * (data.feature_bytes() + data.label_bytes()) <= options.cache_bytes),
        planner(make_planner(data, options, cached)),
        loader(data, {.features = options.features,
                      .labels = options.labels,
                      .feature_box = options.slab,
                      .label_box = options.label_slab,
                      .sample = options.sample,
                      .label = options.label,
                      .retries = options.retries,
                      .verify = options.verify,
                      .feature_rule = options.feature_rule,
                      .label_rule = options.label_rule}),
        feature_bytes(loader.feature_bytes()),
        label_bytes(loader.label_bytes()),
        rank(options.rank),
        batch_size(options.batch),
        divisions{{0, shares_of(options)}} {
    const auto share = static_cast<std::size_t>(planner.largest_share());
    if (options.features) features.resize(share);
    if (options.labels && data.labels().kind == LabelDemand::Kind::classes) classes.resize(share);
    if (options.labels && data.labels().kind == LabelDemand::Kind::values) values.resize(share);
  }

  const DataSet& data;
  IoThread& io;
  const bool cached;  // all rows of planner.reach() are in memory, and windows are only plans

  // Window w, counted from the last seek, is in plans[w % 2] and blocks[w % 2]; if cached, blocks[0] holds all rows.
  // The caller may read windows [emptied, loaded). The I/O thread may fill the others while `loading`.
  Planner planner;
  RowLoader loader;
  const std::int64_t feature_bytes, label_bytes;  // per sample in memory
  const int rank;
  const std::int64_t batch_size;
  std::array<WindowPlan, 2> plans;
  std::array<RowBlock, 2> blocks;
  bool window_begun = false;  // the rows of the window being loaded are being read
  bool cache_begun = false, cache_filled = false;

  // Protected by the mutex:
  std::mutex mutex;
  std::condition_variable changed;
  bool halt = false;         // no new work: during seek() or destruction
  bool queued = false;       // a pump() is in the I/O thread's queue
  bool loading = false;      // the I/O thread reads or plans
  std::exception_ptr error;  // of the I/O thread
  Place load_at;             // first batch of the next window to load
  std::int64_t loaded = 0;   // windows
  std::int64_t emptied = 0;  // windows whose batches are all used up; only the caller's thread changes it
  struct Division {
    std::int64_t from;  // its first batch, counted from the first of epoch 0
    Shares shares;
  };
  std::vector<Division> divisions;  // ascending; the first one applies to the current or next batch

  // Used only on the caller's thread:
  bool sought = false;
  Place give_at;             // batch that next() gives
  bool window_ends = false;  // the current batch is the last of its window
  HostBatch batch;           // the current batch, and the memory of its spans:
  std::vector<const std::byte*> features, values;
  std::vector<std::int32_t> classes;
  double waited = 0;

  bool ended(const Place& at) const { return planner.sequential() && at.index >= planner.batches(); }
  Place after(Place at, std::int64_t batches) const {
    at.index += batches;
    if (planner.sequential()) return at;
    return {at.epoch + at.index / planner.batches(), at.index % planner.batches()};
  }

  Place window_after_next(const Place& at) const {
    const std::int64_t per_epoch = planner.windows(), window = at.epoch * per_epoch + at.index / planner.batches_per_window() + 2;
    return {window / per_epoch, window % per_epoch * planner.batches_per_window()};
  }
  std::int64_t number(const Place& at) const { return at.epoch * planner.batches() + at.index; }
  const Shares& shares_at(const Place& at) const {
    const auto later = std::ranges::find_if(divisions, [&](const Division& d) { return d.from > number(at); });
    return later == divisions.begin() ? later->shares : std::prev(later)->shares;
  }

  void queue_work() {
    if (queued || halt || error || loading || ended(load_at) || loaded >= emptied + 2) return;
    queued = true;
    io.submit([this] { pump(); });
  }

  /// One task on the I/O thread.
  void pump() {
    Lock lock(mutex);
    queued = false;
    if (!halt) load(lock);
    queue_work();
    changed.notify_all();
  }

  void load(Lock& lock) {
    loading = true;
    const Shares shares = shares_at(load_at);
    lock.unlock();
    bool done = false;
    std::exception_ptr caught;
    try {
      done = load_piece(shares);
    } catch (...) {
      caught = std::current_exception();
    }
    lock.lock();
    loading = false;
    if (caught) error = caught;
    if (!done) return;
    window_begun = false;
    load_at = after(load_at, plans[loaded % 2].batches);
    ++loaded;
  }

  /// Returns true when window number `loaded` is complete.
  bool load_piece(const Shares& shares) {
    if (cached && !cache_filled && !fill_cache_piece()) return false;
    WindowPlan& plan = plans[loaded % 2];
    RowBlock& block = blocks[loaded % 2];
    if (!window_begun) {
      planner.plan(load_at.epoch, load_at.index / planner.batches_per_window(), cached, shares, plan);
      if (cached) return true;
      if (!block.allocated) block = loader.allocate_to_read(planner.most_rows());
      loader.start(plan.runs, block);
      window_begun = true;
    }
    return loader.step();
  }

  bool fill_cache_piece() {
    if (!cache_begun) {
      blocks[0] = loader.allocate_to_read(planner.reach().count);
      loader.start(planner.reach_as_runs(), blocks[0]);
      cache_begun = true;
    }
    if (!loader.step()) return false;
    loader.close();
    cache_filled = true;
    return true;
  }

  void describe(const Place& at, const Shares& shares) {
    const Planner::Size size = planner.size_of_batch(at.index, shares);
    batch = HostBatch{};
    batch.epoch = at.epoch;
    batch.index = at.index;
    batch.global_count = size.global_count;
    batch.first = size.first;
    batch.count = size.count;
    batch.feature_slab = loader.cuts_features();
    batch.label_slab = loader.cuts_labels();
    if (planner.sequential()) batch.first_row = planner.reach().first + at.index * planner.rows_per_batch();
  }

  void point_at_rows(const WindowPlan& plan, const RowBlock& from, const Place& at) {
    auto places = plan.places_of(at.index - plan.window * planner.batches_per_window());
    if (cached && !planner.sequential()) places = places.subspan(static_cast<std::size_t>(batch.first), static_cast<std::size_t>(batch.count));
    const auto count = places.size();
    if (from.features) {
      for (std::size_t i = 0; i < count; ++i) features[i] = from.features.get() + places[i] * feature_bytes;
      batch.features = std::span(features).first(count);
    }
    if (from.classes) {
      for (std::size_t i = 0; i < count; ++i) classes[i] = from.classes.get()[places[i]];
      batch.classes = std::span(classes).first(count);
    }
    if (from.values) {
      for (std::size_t i = 0; i < count; ++i) values[i] = from.values.get() + places[i] * label_bytes;
      batch.values = std::span(values).first(count);
    }
  }

  void seek(const Place& asked) {
    const Place to = after(asked, 0);
    Lock lock(mutex);
    if (sought && to == give_at && !error) return;
    halt = true;
    changed.wait(lock, [&] { return !loading; });
    const std::int64_t per_window = planner.batches_per_window();
    load_at = {to.epoch, to.index / per_window * per_window};
    give_at = to;
    loaded = emptied = 0;
    divisions = {{0, divisions.back().shares}};
    window_begun = window_ends = false;
    cache_begun = cache_filled;
    error = nullptr;
    halt = false;
    sought = true;
    queue_work();
  }

  void set_shares(std::vector<std::int64_t> counts, const Place& from) {
    const std::int64_t whole = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    const Shares shares(std::move(counts));
    if (planner.sequential() || shares.parts() != divisions.front().shares.parts() || whole != batch_size ||
        shares.of(std::min(batch_size, data.size()), rank).count > planner.largest_share())
      throw internal_error("BatchStream: shares of {} ranks, {} samples in total, {} of them on this rank, which may have at most {}", shares.parts(), whole,
                           shares.of(whole, rank).count, planner.largest_share());
    const Lock lock(mutex);
    Place at = after(from, 0);
    // If rows are cached, plans hold whole batches. Otherwise no I/O thread is further than the window after that of a returned batch.
    if (!cached) at = window_after_next(at);
    std::erase_if(divisions, [&](const Division& d) { return d.from >= number(at); });
    divisions.push_back({number(at), shares});
  }

  const HostBatch& next() {
    if (!sought) throw internal_error("BatchStream::next() was called before seek()");
    Lock lock(mutex);
    if (window_ends) {
      ++emptied;
      window_ends = false;
      queue_work();
    }
    if (ended(give_at)) describe(give_at, divisions.front().shares);
    if (!ended(give_at)) {
      while (loaded == emptied) {
        if (error) std::rethrow_exception(error);
        const Timer timer;
        const WaitScope now("training data");
        changed.wait(lock);
        waited += timer.seconds();
      }
      const WindowPlan& plan = plans[emptied % 2];
      while (divisions.size() > 1 && divisions[1].from <= number(give_at)) divisions.erase(divisions.begin());
      describe(give_at, cached ? shares_at(give_at) : plan.shares);
      lock.unlock();
      point_at_rows(plan, blocks[cached ? 0 : emptied % 2], give_at);
      window_ends = give_at.index + 1 == plan.window * planner.batches_per_window() + plan.batches;
    }
    give_at = after(give_at, 1);
    return batch;
  }

  /// Ends the work on the I/O thread, and closes files there, because HDF5 may be called only there.
  void end() {
    {
      Lock lock(mutex);
      halt = true;
      changed.wait(lock, [&] { return !loading; });
    }
    io.run([this] { loader.close(); });
  }
};

BatchStream::ShuffleOrder BatchStream::shuffle_order(const DataSet& data, const Options& o) {
  const std::int64_t row_bytes = std::max<std::int64_t>(1, data.feature_bytes() + data.label_bytes());
  const bool shuffled = o.order == Order::shuffled;
  // Whether it fits into memory may depend on the machine; the order may not.
  if (shuffled && o.chunk == 0 && o.window == 0 && data.size() <= whole_bytes / row_bytes) return {data.size(), data.size(), true};
  // A power of two, because chunks of files usually are: then few of them are read twice.
  const auto usual_chunk = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(1, usual_chunk_bytes / row_bytes))));
  const std::int64_t chunk = o.chunk > 0 ? o.chunk : usual_chunk,
                     window = o.window > 0 ? o.window : std::max<std::int64_t>(2 * o.batch, usual_window_bytes / row_bytes);
  return {std::min(chunk, data.size()), std::min(window, data.size()), false};
}

BatchStream::BatchStream(const DataSet& data, IoThread& io, const Options& options) : impl_(std::make_unique<Impl>(data, io, options)) {}
BatchStream::~BatchStream() { impl_->end(); }

std::int64_t BatchStream::batches() const { return impl_->planner.batches(); }
std::int64_t BatchStream::largest_share() const { return impl_->planner.largest_share(); }
void BatchStream::seek(std::int64_t epoch, std::int64_t index) { impl_->seek({epoch, index}); }
void BatchStream::set_shares(std::vector<std::int64_t> counts, std::int64_t epoch, std::int64_t index) { impl_->set_shares(std::move(counts), {epoch, index}); }
const HostBatch& BatchStream::next() { return impl_->next(); }
std::int64_t BatchStream::memory() const {
  constexpr std::int64_t windows = 2, place = 8 + 4;  // position of a row in its window, and number of its batch
  const Planner& planner = impl_->planner;
  const std::int64_t row = impl_->feature_bytes + impl_->label_bytes;
  if (impl_->cached) return planner.reach().count * (row + windows * place);
  return windows * planner.most_rows() * (row + place);
}
double BatchStream::waited() const { return impl_->waited; }
std::int64_t BatchStream::bytes_read() const { return impl_->loader.bytes_read(); }

}  // namespace trireme
