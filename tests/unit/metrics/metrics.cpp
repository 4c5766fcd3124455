// Metrics from counts and sums: values worked out by hand, "n/a" where a metric has no meaning, and NaN where an output is NaN.
#include "metrics/metrics.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

using namespace trireme;

namespace {

Metrics of_classes(std::int64_t classes, std::vector<std::int64_t> confusion, std::int64_t top5) {
  Metrics m;
  m.statistics.targets = LossKind::Targets::classes;
  m.statistics.classes = classes;
  for (std::int64_t c = 0; c < classes; ++c) m.statistics.hits += confusion[static_cast<std::size_t>(c * classes + c)];
  for (const std::int64_t n : confusion) m.statistics.samples += n;
  m.statistics.top5_hits = top5;
  m.statistics.confusion = std::move(confusion);
  m.loss = 0.5;
  return m;
}

Metrics of_binary(std::int64_t tp, std::int64_t fp, std::int64_t fn, std::int64_t tn) {
  Metrics m;
  m.statistics.targets = LossKind::Targets::binary;
  m.statistics.samples = tp + fp + fn + tn, m.statistics.outputs = 1;
  m.statistics.true_positives = tp, m.statistics.false_positives = fp, m.statistics.false_negatives = fn, m.statistics.true_negatives = tn;
  return m;
}

/// Whether `found` has these entries, and others perhaps: metrics may be added.
bool holds(const nlohmann::json& found, const std::string& entries) {
  const nlohmann::json expected = nlohmann::json::parse(entries), printed = nlohmann::json::parse(found.dump());  // NaN is printed as null
  for (const auto& [key, value] : expected.items())
    if (!printed.contains(key) || printed[key] != value) return false;
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(of_three_classes) {
  const Metrics m = of_classes(3, {2, 1, 0, 0, 3, 0, 1, 0, 3}, 10);
  BOOST_TEST(m.value("accuracy").value() == 0.8);
  BOOST_TEST(m.value("top5").value() == 1.0);
  BOOST_TEST(!m.value("precision"));  // of two classes alone
  BOOST_TEST(m.text().find("loss 0.5000  accuracy 80.00 %  top-5 100.00 %") == 0u, m.text());
  BOOST_TEST(holds(m.json(), R"({"accuracy":0.8,"loss":0.5,"samples":10,"top5":1.0})"), m.json().dump());
  BOOST_TEST(m.json(true)["confusion"].dump() == "[[2,1,0],[0,3,0],[1,0,3]]");
}

BOOST_AUTO_TEST_CASE(of_two_classes) {
  const Metrics m = of_classes(2, {5, 1, 2, 4}, 12);
  BOOST_TEST(m.value("precision").value() == 0.8);
  BOOST_TEST(m.value("recall").value() == 4.0 / 6);
  BOOST_TEST(m.value("f1").value() == 8.0 / 11);
  BOOST_TEST(m.text().find("loss 0.5000  accuracy 75.00 %  precision 0.8000  recall 0.6667  F1 0.7273") == 0u, m.text());
}

BOOST_AUTO_TEST_CASE(of_binary_targets) {
  Metrics m = of_binary(4, 1, 2, 5);
  m.statistics.errors.absolute.add(3.0);
  BOOST_TEST(m.value("accuracy").value() == 0.75);
  BOOST_TEST(m.value("precision").value() == 0.8);
  BOOST_TEST(m.value("mae").value() == 0.25);
  BOOST_TEST(!m.value("r2"));  // no target varies
  BOOST_TEST(!of_binary(0, 0, 2, 5).value("precision"));
  BOOST_TEST(!of_binary(0, 1, 0, 5).value("recall"));
  m.statistics.soft_targets = 1;  // neither yes nor no
  for (const char* name : {"accuracy", "precision", "recall", "f1"}) {
    BOOST_TEST(!m.value(name));
    BOOST_TEST(m.json().at(name).is_null());
  }
  BOOST_TEST(m.text().find("loss 0  MAE 0.25  R2 n/a") == 0u, m.text());
}

BOOST_AUTO_TEST_CASE(of_outputs_that_are_not_numbers) {
  Metrics m = of_classes(3, {2, 1, 0, 0, 3, 0, 1, 0, 3}, 10);
  m.statistics.undefined = 1;
  BOOST_TEST(std::isnan(m.value("accuracy").value()));
  BOOST_TEST(holds(m.json(), R"({"accuracy":null,"loss":0.5,"samples":10,"top5":null})"), m.json().dump());
}

BOOST_AUTO_TEST_CASE(every_kind_explains_itself) {
  for (const MetricKind& kind : metric_kinds()) BOOST_TEST((!kind.help.empty() && !kind.label.empty()), kind.name);
}

BOOST_AUTO_TEST_SUITE_END()
