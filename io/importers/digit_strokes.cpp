#include "io/importers/digit_strokes.hpp"

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <numbers>

namespace trireme {

namespace {

using Points = std::vector<StrokePoint>;

// The Catmull-Rom spline through p1 and p2 with neighbors p0 and p3, at t in [0, 1] (Catmull and Rom 1974).
double spline(double p0, double p1, double p2, double p3, double t) {
  return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
}

class Writer {
 public:
  Writer(double jitter, RandomStream& random) : jitter_(jitter), random_(random) {}

  bool chance(double probability) { return random_.uniform() < probability; }

  /// Moves the pen in straight lines.
  void lines(std::initializer_list<StrokePoint> points) { strokes_.push_back(jittered(points)); }

  /// Moves the pen in a smooth curve through the points.
  void curve(std::initializer_list<StrokePoint> points) {
    const Points p = jittered(points);
    smooth(p, false);
  }
  void closed_curve(std::initializer_list<StrokePoint> points) {
    const Points p = jittered(points);
    smooth(p, true);
  }
  void ellipse(double x, double y, double width, double height) {
    Points p;
    constexpr int corners = 8;
    for (int i = 0; i < corners; ++i) {
      const double angle = 2 * std::numbers::pi * i / corners;
      p.push_back(moved({x + width * std::sin(angle), y - height * std::cos(angle)}));
    }
    smooth(p, true);
  }

  std::vector<Stroke> take() { return std::move(strokes_); }

 private:
  StrokePoint moved(StrokePoint p) {
    p.x += jitter_ * random_.normal();
    p.y += jitter_ * random_.normal();
    return p;
  }
  Points jittered(std::initializer_list<StrokePoint> points) {
    Points result;
    for (const auto& p : points) result.push_back(moved(p));
    return result;
  }
  void smooth(const Points& p, bool closed) {
    constexpr int pieces = 6;
    const auto n = static_cast<int>(p.size());
    const auto at = [&](int i) -> const StrokePoint& {
      const int inside = closed ? (i + n) % n : std::min(std::max(i, 0), n - 1);
      return p[static_cast<std::size_t>(inside)];
    };
    Stroke stroke{at(0)};
    for (int i = 0; i < (closed ? n : n - 1); ++i) {
      const auto &a = at(i - 1), &b = at(i), &c = at(i + 1), &d = at(i + 2);
      for (int k = 1; k <= pieces; ++k) {
        const double t = static_cast<double>(k) / pieces;
        stroke.push_back({spline(a.x, b.x, c.x, d.x, t), spline(a.y, b.y, c.y, d.y, t)});
      }
    }
    strokes_.push_back(std::move(stroke));
  }

  double jitter_;
  RandomStream& random_;
  std::vector<Stroke> strokes_;
};

void write_two(Writer& pen) {
  if (pen.chance(0.35)) {  // with a loop at the foot
    pen.curve({{-0.55, -0.55}, {-0.2, -0.95}, {0.35, -0.9}, {0.5, -0.4}, {0.1, 0.3}, {-0.4, 0.9}, {-0.6, 0.75}, {-0.35, 0.6}, {0.1, 0.9}, {0.6, 0.9}});
    return;
  }
  pen.curve({{-0.55, -0.55}, {-0.25, -0.95}, {0.3, -0.95}, {0.55, -0.5}, {0.3, 0.0}, {-0.2, 0.55}, {-0.58, 1.0}});
  pen.lines({{-0.58, 1.0}, {0.6, 0.98}});
}

void write_three(Writer& pen) {
  if (pen.chance(0.25))
    pen.lines({{-0.5, -0.98}, {0.5, -0.98}, {-0.1, -0.1}});
  else
    pen.curve({{-0.5, -0.75}, {0.0, -1.0}, {0.5, -0.65}, {0.3, -0.18}, {-0.12, -0.05}});
  pen.curve({{-0.12, -0.05}, {0.42, 0.12}, {0.58, 0.55}, {0.15, 0.98}, {-0.55, 0.78}});
}

void write_four(Writer& pen) {
  if (pen.chance(0.6)) {  // open
    pen.lines({{-0.35, -1.0}, {-0.55, 0.15}, {0.58, 0.15}});
    pen.lines({{0.32, -0.75}, {0.22, 1.0}});
  } else {
    pen.lines({{0.3, -1.0}, {-0.6, 0.32}, {0.6, 0.32}});
    pen.lines({{0.3, -1.0}, {0.3, 1.0}});
  }
}

void write_seven(Writer& pen) {
  if (pen.chance(0.5)) {
    pen.lines({{-0.55, -0.95}, {0.55, -0.95}, {-0.12, 1.0}});
  } else {
    pen.lines({{-0.55, -0.92}, {0.52, -0.97}});
    pen.curve({{0.52, -0.97}, {0.25, -0.35}, {0.02, 0.3}, {-0.05, 1.0}});
  }
  if (pen.chance(0.3)) pen.lines({{-0.28, 0.02}, {0.42, 0.0}});
}

void write_eight(Writer& pen) {
  if (pen.chance(0.7)) {
    pen.closed_curve({{0.42, -0.68}, {0.0, -1.0}, {-0.43, -0.62}, {0.0, -0.08}, {0.5, 0.5}, {0.0, 1.0}, {-0.5, 0.52}, {0.0, -0.1}});
  } else {
    pen.ellipse(0, -0.53, 0.38, 0.45);
    pen.ellipse(0, 0.45, 0.48, 0.53);
  }
}

void write_nine(Writer& pen) {
  pen.ellipse(0, -0.5, 0.46, 0.47);
  if (pen.chance(0.5))
    pen.lines({{0.46, -0.6}, {0.36, 1.0}});
  else
    pen.curve({{0.46, -0.55}, {0.46, 0.2}, {0.22, 0.82}, {-0.38, 0.9}});
}

}  // namespace

std::vector<Stroke> write_digit(int digit, double jitter, RandomStream& random) {
  Writer pen(jitter, random);
  switch (digit) {
    case 0:
      pen.ellipse(0, 0, 0.58, 0.98);
      break;
    case 1:
      pen.lines({{0.0, -1.0}, {0.0, 1.0}});
      if (pen.chance(0.35)) pen.lines({{-0.34, -0.6}, {0.0, -1.0}});
      if (pen.chance(0.15)) pen.lines({{-0.4, 1.0}, {0.4, 1.0}});
      break;
    case 2:
      write_two(pen);
      break;
    case 3:
      write_three(pen);
      break;
    case 4:
      write_four(pen);
      break;
    case 5:
      pen.lines({{0.52, -0.97}, {-0.4, -0.95}, {-0.46, -0.12}});
      pen.curve({{-0.46, -0.12}, {0.05, -0.3}, {0.53, 0.08}, {0.5, 0.65}, {0.05, 0.98}, {-0.55, 0.8}});
      break;
    case 6:
      pen.curve({{0.4, -0.95}, {-0.15, -0.6}, {-0.5, 0.1}, {-0.43, 0.75}, {0.0, 1.0}, {0.48, 0.75}, {0.48, 0.3}, {0.05, 0.05}, {-0.42, 0.38}});
      break;
    case 7:
      write_seven(pen);
      break;
    case 8:
      write_eight(pen);
      break;
    default:
      write_nine(pen);
  }
  return pen.take();
}

}  // namespace trireme
