#!/usr/bin/env python3
"""[array NAME] sections that cannot be read: each has its message."""

from arrays_test import ArraysTest, program


class Mistakes(ArraysTest):
    def test_each_has_its_message(self):
        path = self.file("m.h5", x=self.normal(8, 2, 4, 5), y=self.normal(8, 2, 4, 5), v=self.normal(8, 2, 4, 6), w=self.normal(7, 2, 4, 5), s=self.normal(8, 3))
        cases = [("[array features]\ndata = /x, /v", ("other pixels", "/v", "(8, 2, 4, 6)")),
                 ("[array features]\ndata = /x, /w", ("7 samples", "same number")),
                 ("[array features]\ndata = /x[:, 0:9]", ("2 ranges", "(8, 2, 4, 5)")),
                 ("[array features]\ndata = /x[:, 0:9, :, :]", ("0:9", "outside the stored extent 2")),
                 ("[array features]\ndata = /x\naxes = sample, y, x", ("4 axes", "names 3")),
                 ("[array features]\ndata = /x\nwindow = 1\naxes = sample, channel, y, x", ("no axis of time",)),
                 ("[array features]\ndata = /nothing", ("no data set '/nothing'", "/x"))]
        for arrays, parts in cases:
            with self.subTest(arrays=arrays):
                self.refused(path, (4, 4, 5), arrays, *parts)
        for arrays, parts in [("[array features]\ndata = /x[:, a]", ("'a'", "FIRST:END")), ("[array features]\nwindow = 3..1", ("3..1", "-3..0")),
                              ("[array features]\nwindow = 1, 1", ("ascend",)), ("[array features]\naxes = sample, q", ("'q' is not an axis",)),
                              ("[array features]\nwindwo = 1", ("no key 'windwo'", "did you mean 'window'?")), ("[array]\ndata = /x", ("needs a name",)),
                              ("[array labels]\nreplace = a", ("FROM -> TO",)), ("[array other]\ndata = /x", ("not used",)),
                              ("[array features]\ndata = /x,,/y", ("names no dataset",))]:
            with self.subTest(arrays=arrays):
                self.refused(path, (2, 4, 5), arrays, *parts, code=2)


if __name__ == "__main__":
    program.main()
