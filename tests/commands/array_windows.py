#!/usr/bin/env python3
"""Windows of time steps: each sample is what numpy slices give, never across the end of a file or a trajectory."""

from arrays_test import ArraysTest, np, program


class Windows(ArraysTest):
    def test_forecasts(self):
        years = [self.normal(n, 3, 4, 6) for n in (14, 9)]  # steps
        for number, year in enumerate(years):
            self.file(f"y{number}.h5", fields=year)

        def pairs(history, lead, stride=1):
            x, y, all_x = [], [], []
            for u in years:
                for t in range(-min(history), len(u) - max(0, max(history)), stride):
                    all_x.append(np.concatenate([u[t + k] for k in history]))
                    if t + max(lead) < len(u):
                        x.append(all_x[-1]), y.append(np.concatenate([u[t + k] for k in lead]))
            return {"x": np.array(x), "y": np.array(y), "all_x": np.array(all_x)}

        where = f"{self.folder}/y*.h5"
        deck = "[array features]\ndata = /fields\nwindow = {}\n[array labels]\ndata = /fields\nwindow = {}"
        self.check(where, "[array features]\ndata = /fields\n[array labels]\ndata = /fields\nwindow = 1", **pairs([0], [1]))
        self.check(where, deck.format("-2..0", "1..3"), **pairs([-2, -1, 0], [1, 2, 3]))
        self.check(where, deck.format("-4, -1", "0, 2"), **pairs([-4, -1], [0, 2], 3), data="stride = 3")
        self.check(where, deck.format("-1..0", "1..2"), **pairs([-1, 0], [1, 2], 7), data="stride = 7")

    def test_trajectories_and_static_arrays(self):
        u, coefficient = self.normal(5, 8, 6), self.normal(5, 6)
        path = self.file("adv.h5", tensor=u, c=coefficient)
        x, y, all_x = [], [], []
        for s in range(5):
            for t in range(1, 8):
                all_x.append(np.stack([u[s, t - 1], u[s, t]]))
                if t < 7:
                    x.append(all_x[-1]), y.append(np.stack([u[s, t], u[s, t + 1]]))
        axes = "axes = sample, time, x"
        self.check(path, f"[array features]\ndata = /tensor\n{axes}\nwindow = -1..0\n[array labels]\ndata = /tensor[:, :, :]\n{axes}\nwindow = 0, 1", np.array(x),
                   np.array(y), all_x=np.array(all_x))
        self.refused(path, (2, 6), f"[array features]\ndata = /c\nwindow = -1..0\naxes = sample, x", "no axis of time")

    def test_time_first_and_last_years_held_out(self):
        u = self.normal(30, 4, 5)
        path = self.file("seq.h5", u=u.transpose(1, 2, 0))
        axes = "axes = y, x, time"
        x = np.stack([u[t] for t in range(20, 28)])[:, None]
        y = np.stack([u[t + 2] for t in range(20, 28)])[:, None]
        self.check(path, f"[array features]\ndata = /u\n{axes}\n[array labels]\ndata = /u\n{axes}\nwindow = 2", x, y, data="train_rows = :20\ntest_rows = 20:", all_x=u[20:, None])
        self.refused(path, (1, 4, 5), f"[array features]\ndata = /u\n{axes}\nwindow = 0..29\n[array labels]\ndata = /u\n{axes}\nwindow = 30", "no rows", "shorter windows")


if __name__ == "__main__":
    program.main()
