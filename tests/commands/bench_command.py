#!/usr/bin/env python3
"""bench measures, says what in JSON, and leaves nothing behind. Rates are not judged here: machines of tests are busy."""

import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import program  # noqa: E402


class Bench(program.ProgramTest):
    def check_io(self, ranks, *words):
        found = self.ok("bench", "io", self.folder, "--size", 6, "--state", 5, "--runs", 3, "--json", *words, ranks=ranks, timeout=200).json()
        self.assertEqual((found["bench"], found["ranks"], found["runs"]), ("io", ranks, 3))
        self.assertEqual(len(found["reading"]), 2)
        for contest in [*found["reading"], found["checkpoint"]]:
            self.assertEqual((len(contest["plain_seconds"]), len(contest["trireme_seconds"])), (3, 3))
            self.assertGreater(min(contest["plain_seconds"] + contest["trireme_seconds"]), 0)
            seconds = {side: sorted(contest[f"{side}_seconds"])[1] for side in ("plain", "trireme")}
            self.assertAlmostEqual(contest["ratio"], seconds["plain"] / seconds["trireme"])
            self.assertAlmostEqual(contest["plain_bytes_per_s"], contest["bytes"] / seconds["plain"], delta=1)
        self.assertAlmostEqual(found["checkpoint"]["bytes"], 5 << 20, delta=1 << 20)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_io(self):
        self.check_io(1)
        self.check_io(3)
        self.check_io(2, "--cold")

    def test_kernels(self):
        found = self.ok("bench", "kernels", "--runs", 5, "--json", timeout=250).json()
        self.assertGreater(found["triad_gbytes_per_s"], 0)
        self.assertEqual([(g["m"], g["k"], g["n"]) for g in found["gemm"]], [(2048, 2048, 2048), (128, 784, 100), (256, 512, 512)])
        self.assertEqual(len(found["convolution"]), 8)
        rates = [g["gflops"] for g in found["gemm"]]
        for one in found["convolution"]:
            rates += [one[f"{way}_gflops"] for way in ("forward", "backward_data", "backward_weights")]
        self.assertGreater(min(rates), 0)

    def test_network(self):
        found = self.ok("bench", "network", "--runs", 5, "--json", ranks=3).json()
        self.assertEqual((found["ranks"], found["nodes"]), (3, 1))
        for what in ("messages", "all_reduces"):
            self.assertEqual([one["bytes"] for one in found[what]], [8 * 4**k for k in range(10)])
            self.assertGreater(min(one["seconds"] for one in found[what]), 0)
        self.assertIn("all-reduce", self.ok("bench", "network", "--runs", 5, ranks=2).text)

    def test_what_cannot_be(self):
        for words, said in (([], "Usage"), (["ios"], "did you mean 'io'"), (["io", self.folder / "none"], "No such file"),
                            (["io", self.folder, "--runs", 2], "--runs"), (["io", self.folder, "--size", "big"], "--size"),
                            (["io", self.folder, "--size", 10**6], "free"), (["kernels", "x"], "unexpected"), (["network"], "mpiexec -n 2")):
            result = program.run("bench", *words)
            self.assertEqual(result.code, 2, result.text)
            self.assertIn(said, result.text)
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    program.main()
