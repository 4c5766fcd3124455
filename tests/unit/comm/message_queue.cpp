// Text messages that arrive once, whole, and in order; waiting that sleeps.
#include "comm/message_queue.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <map>
#include <thread>
#include <vector>

using namespace trireme;

namespace {

/// Looks until `count` messages have arrived, at most a minute.
std::vector<MessageQueue::Message> receive(const MessageQueue& queue, std::size_t count) {
  std::vector<MessageQueue::Message> messages;
  for (int i = 0; i < 60000 && messages.size() < count; ++i) {
    while (const auto message = queue.look()) messages.push_back(*message);
    if (messages.size() < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return messages;
}

/// A text of any bytes that tells its sender and its number.
std::string text_of(int rank, int number) {
  std::string text = std::to_string(rank) + ":" + std::to_string(number) + ":";
  for (int i = 0; i < number % 300; ++i) text += static_cast<char>((i * 37 + rank) % 256);
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(message_queue)

BOOST_AUTO_TEST_CASE(nothing_arrives_where_nothing_was_sent) {
  const MessageQueue queue(Communicator::world());
  for (int i = 0; i < 10; ++i) BOOST_TEST(!queue.look().has_value());
}

BOOST_AUTO_TEST_CASE(messages_arrive_once_whole_and_in_the_order_of_their_sender) {
  const Communicator comm = Communicator::world();
  const MessageQueue queue(comm);
  constexpr int each = 40;
  std::thread sender([&] {  // a text to the own rank blocks until that looks
    for (int number = 0; number < each; ++number)
      for (int to = 0; to < comm.size(); ++to) queue.send(to, text_of(comm.rank(), number));
  });
  std::map<int, int> next;
  for (const auto& message : receive(queue, static_cast<std::size_t>(each * comm.size()))) {
    const int number = next[message.from]++;
    BOOST_TEST((message.text == text_of(message.from, number)), "message " << number << " of rank " << message.from);
  }
  sender.join();
  for (int from = 0; from < comm.size(); ++from) BOOST_TEST(next[from] == each);
  comm.barrier();
  BOOST_TEST(!queue.look().has_value());
}

BOOST_AUTO_TEST_CASE(empty_and_large_texts) {
  const Communicator comm = Communicator::world();
  const MessageQueue queue(comm);
  const std::string large(3000000, 'x');
  std::thread sender([&] {  // a large text blocks until the receiver looks
    queue.send(0, "");
    queue.send(0, large);
  });
  if (comm.rank() == 0) {
    std::map<int, int> texts;
    for (const auto& message : receive(queue, static_cast<std::size_t>(2 * comm.size())))
      BOOST_TEST((message.text == (texts[message.from]++ == 0 ? "" : large)));
    BOOST_TEST(texts.size() == static_cast<std::size_t>(comm.size()));
  }
  sender.join();
}

BOOST_AUTO_TEST_CASE(two_queues_do_not_mix) {
  const Communicator comm = Communicator::world();
  const MessageQueue first(comm), second(comm);
  const int to = (comm.rank() + 1) % comm.size(), from = (comm.rank() + comm.size() - 1) % comm.size();
  std::thread senders[] = {std::thread([&] { second.send(to, "second"); }), std::thread([&] { first.send(to, "first"); })};
  for (const MessageQueue* queue : {&first, &second}) {
    const auto messages = receive(*queue, 1);
    BOOST_REQUIRE(messages.size() == 1u);
    BOOST_TEST(messages.front().from == from);
    BOOST_TEST(messages.front().text == (queue == &first ? "first" : "second"));
  }
  for (auto& sender : senders) sender.join();
  comm.barrier();
  BOOST_TEST(!first.look().has_value());
  BOOST_TEST(!second.look().has_value());
}

BOOST_AUTO_TEST_CASE(a_sleeping_barrier_waits_for_the_last_rank) {
  const Communicator comm = Communicator::world();
  const MessageQueue queue(comm);
  const int last = comm.size() - 1;
  if (comm.rank() == last) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    for (int to = 0; to < last; ++to) queue.send(to, "I arrive");
  }
  BOOST_TEST(sleeping_barrier(comm));
  if (comm.rank() != last) BOOST_TEST(queue.look().has_value());
}

BOOST_AUTO_TEST_CASE(a_sleeping_barrier_gives_up) {
  const Communicator comm = Communicator::world();
  const MessageQueue queue(comm);
  const Communicator spoiled = comm.duplicate();  // not used afterwards
  const int last = comm.size() - 1;
  if (comm.size() == 1) {
    BOOST_TEST(sleeping_barrier(spoiled, 0.05));
  } else if (comm.rank() == last) {
    // Only when all others have given up; they do not wait for this rank again.
    BOOST_TEST(receive(queue, static_cast<std::size_t>(last)).size() == static_cast<std::size_t>(last));
    BOOST_TEST(sleeping_barrier(spoiled, 60));
  } else {
    BOOST_TEST(!sleeping_barrier(spoiled, 0.05));
    queue.send(last, "gave up");
  }
  comm.barrier();
}

BOOST_AUTO_TEST_SUITE_END()
