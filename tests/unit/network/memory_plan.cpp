// Plans of temporary memory: blocks with overlapping lifetimes never share memory.
#include "network/memory_plan.hpp"

#include <boost/test/unit_test.hpp>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

BOOST_AUTO_TEST_SUITE(memory_plan)

BOOST_AUTO_TEST_CASE(blocks_alive_together_are_apart) {
  double worst = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    RandomStream random(test_seed(), i);
    MemoryPlan plan;
    struct Block {
      std::int64_t bytes;
      std::int64_t first, last;
    };
    std::vector<Block> blocks;
    const std::int64_t count = draw(random, 0, 60), times = draw(random, 1, 50);
    for (std::int64_t b = 0; b < count; ++b) {
      Block block{random.below(5) ? draw(random, 1, 5000) : draw(random, 0, 1), draw(random, -1, times), 0};
      block.last = random.below(2) ? block.first : draw(random, block.first, times);
      BOOST_TEST(plan.add(block.bytes, static_cast<int>(block.first), static_cast<int>(block.last)) == blocks.size());
      blocks.push_back(block);
      if (random.below(4) == 0) {
        const std::size_t longer = random.below(blocks.size());
        const std::int64_t time = draw(random, -1, times);
        plan.extend(longer, static_cast<int>(time));
        blocks[longer].first = std::min(blocks[longer].first, time), blocks[longer].last = std::max(blocks[longer].last, time);
      }
    }
    plan.solve();
    std::int64_t end = 0, most_alive = 0;
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i) {
      for (std::size_t a = 0; a < blocks.size(); ++a) {
        BOOST_TEST(plan.bytes(a) >= blocks[a].bytes);
        BOOST_TEST(plan.offset(a) % MemoryPlan::alignment == 0);
        BOOST_TEST(plan.offset(a) >= 0);
        end = std::max(end, plan.offset(a) + blocks[a].bytes);
        for (std::size_t b = 0; b < a; ++b) {
          const bool together = blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
          const bool apart = plan.offset(a) + blocks[a].bytes <= plan.offset(b) || plan.offset(b) + blocks[b].bytes <= plan.offset(a);
          if (together && !apart) BOOST_ERROR("blocks " << a << " and " << b << " live together and share bytes");
        }
      }
      for (std::int64_t time = -1; time <= times; ++time) {
        std::int64_t alive = 0;
        for (const Block& block : blocks)
          if (block.first <= time && time <= block.last) alive += (block.bytes + MemoryPlan::alignment - 1) / MemoryPlan::alignment * MemoryPlan::alignment;
        most_alive = std::max(most_alive, alive);
      }
      BOOST_TEST(end <= plan.total());
      BOOST_TEST(plan.lower_bound() == most_alive);
      BOOST_TEST(plan.total() >= plan.lower_bound());
    }
    if (plan.lower_bound() > 0) worst = std::max(worst, static_cast<double>(plan.total()) / static_cast<double>(plan.lower_bound()));
  }
  BOOST_TEST_MESSAGE("largest plan over its lower bound: " << worst);
  BOOST_TEST(worst < 2.0);
}

BOOST_AUTO_TEST_CASE(a_chain_needs_two_blocks) {
  MemoryPlan plan;
  for (int i = 0; i < 20; ++i) plan.add(1000, i, i + 1);
  plan.solve();
  BOOST_TEST(plan.total() == plan.lower_bound());
  BOOST_TEST(plan.total() == 2 * 1024);
}

BOOST_AUTO_TEST_SUITE_END()
