"""attn generate as scripts see it. ATTN names the binary."""

import json
import os
import random
import signal
import subprocess
import unittest

from test_cli import ATTN, Case, attn, tensors

BYTES = 256
DESCRIPTION = {
    "format": "attn/1", "name": "tiny",
    "symbols": {"seq": {"max": 128}},
    "inputs": {"ids": {"kind": "tokens", "shape": ["seq"], "range": [0, BYTES]}},
    "state": {"past": {"kind": "cache", "rows": "seq", "max": 128}},
    "graph": [
        {"layer": "embedding", "in": "ids", "out": "x", "weight": "embed"},
        {"layer": "add", "in": "x", "out": "x", "weight": "place", "slice_rows": True, "past": "past"},
        {"layer": "attention", "in": ["x", "x", "x"], "out": "h", "heads": 2, "causal": True, "cache": "past"},
        {"layer": "add", "in": ["x", "h"], "out": "x"},
        {"layer": "token", "in": "x", "out": "x", "index": -1},
        {"layer": "linear", "in": "x", "out": "logits", "weight": "head", "bias": False},
    ],
    "outputs": {"logits": {}},
}


def byte_level():
    """The characters that stand for bytes in a byte-level vocabulary."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printed]
    return {b: chr(b) for b in printed} | {b: chr(256 + i) for i, b in enumerate(rest)}


def write_model(case, name="model", tokenizer=True, bias=0.0, **changes):
    """A folder whose model likes letters and digits; returns its path."""
    chance = random.Random(4)
    rows = lambda count: [chance.gauss(0, 1) for _ in range(count * 8)]
    head = [x * (1 if chr(i // 8).isalnum() and i < 1024 else 0.2) + bias for i, x in enumerate(rows(BYTES + 1))]
    case.path(name + "/model.safetensors", tensors({
        "embed.weight": ([BYTES + 1, 8], rows(BYTES + 1)), "place": ([128, 8], rows(128)),
        "head.weight": ([BYTES + 1, 8], head)}))
    case.path(name + "/attn.json", json.dumps(DESCRIPTION | changes))
    if tokenizer:
        case.path(name + "/tokenizer.json", json.dumps({
            "model": {"type": "BPE", "vocab": {c: b for b, c in byte_level().items()}, "merges": []},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False,
                              "trim_offsets": True},
            "decoder": {"type": "ByteLevel"},
            "added_tokens": [{"id": BYTES, "content": "<|im_end|>", "special": True, "single_word": False,
                              "lstrip": False, "rstrip": False, "normalized": False}]}))
    return case.path(name)


class Generate(Case):
    def setUp(self):
        super().setUp()
        self.model = write_model(self)

    def run_json(self, *arguments):
        return json.loads(self.good("generate", self.model, *arguments, "--json"))

    def test_prompts(self):
        """A text, a file, standard input and ids are the same prompt."""
        want = self.run_json("--prompt", "Hé?", "--max-tokens", "20")
        self.assertEqual(want["prompt_ids"], list("Hé?".encode()))
        self.assertEqual((want["prompt_tokens"], want["tokens"], len(want["ids"])), (4, 20, 20))
        self.assertEqual(want["finish"], "length")
        self.assertEqual(want["text"], bytes(i for i in want["ids"] if i < BYTES).decode(errors="replace"))
        self.assertGreater(want["memory"], 0)
        path = self.path("prompt.txt", "Hé?")
        self.assertEqual(self.run_json("--file", path, "--max-tokens", "20")["ids"], want["ids"])
        with open(path) as file:
            done = subprocess.run([ATTN, "generate", self.model, "--file", "-", "--max-tokens", "20", "--json"],
                                  stdin=file, stdout=subprocess.PIPE, timeout=60)
        self.assertEqual(json.loads(done.stdout)["ids"], want["ids"])
        ids = " ".join(map(str, want["prompt_ids"]))
        found = self.run_json("--ids", ids, "--max-tokens", "20")
        self.assertEqual(found["ids"], want["ids"])
        self.assertNotIn("text", found)
        out = self.good("generate", self.model, "--ids", ids, "--max-tokens", "20", "--quiet")
        self.assertEqual(out, " ".join(map(str, want["ids"])) + "\n")
        bare = write_model(self, "bare", tokenizer=False)
        self.assertEqual(self.good("generate", bare, "--ids", ids, "--max-tokens", "20", "--quiet"), out)
        self.bad("generate", bare, "--prompt", "x", says=self.path("bare"))

    def test_text(self):
        text = self.run_json("--prompt", "ab", "--max-tokens", "30")["text"]
        status, out, err = attn("generate", self.model, "--prompt", "ab", "--max-tokens", "30", "--echo")
        self.assertEqual((status, out), (0, "ab" + text + "\n"))
        self.assertRegex(err, r"^prompt: 2 tokens, .* generated: 30 tokens, .* \(length\); .* MB")
        stop = text[10:12]
        cut = self.run_json("--prompt", "ab", "--max-tokens", "30", "--stop", "no such text", "--stop", stop)
        self.assertEqual((cut["text"], cut["finish"]), (text[:text.index(stop)], "stop string"))

    def test_sampling(self):
        ways = [["--temperature", "1"], ["--top-k", "300"], ["--top-p", "0.9", "--seed", "3"], ["--min-p", "0.1"],
                ["--temperature", "1.5", "--top-k", "5", "--presence-penalty", "-1"],
                ["--repetition-penalty", "1.3", "--frequency-penalty", "0.5"]]
        greedy = self.run_json("--prompt", "ab", "--max-tokens", "40")["ids"]
        for way in ways:
            first = self.run_json("--prompt", "ab", "--max-tokens", "40", *way)["ids"]
            self.assertNotEqual(first, greedy, way)
            again = self.run_json("--prompt", "ab", "--max-tokens", "40", *way, "--threads", "2", "--block", "1")
            self.assertEqual(again["ids"], first)
        for way in [["--temperature", "0"], ["--top-k", "1"], ["--temperature", "1", "--top-p", "0.0000001"]]:
            self.assertEqual(self.run_json("--prompt", "ab", "--max-tokens", "40", *way)["ids"], greedy, way)
        self.path("model/generation_config.json", json.dumps({"do_sample": True, "temperature": 1.0, "top_k": 0}))
        self.assertEqual(self.run_json("--prompt", "ab", "--max-tokens", "40")["ids"], greedy)
        sampled = self.run_json("--prompt", "ab", "--max-tokens", "40", "--config-sampling")["ids"]
        self.assertEqual(sampled, self.run_json("--prompt", "ab", "--max-tokens", "40", "--temperature", "1")["ids"])
        flags_win = self.run_json("--prompt", "ab", "--max-tokens", "40", "--config-sampling", "--temperature", "0")
        self.assertEqual(flags_win["ids"], greedy)

    def test_chat(self):
        self.bad("generate", self.model, "--prompt", "x", "--chat", says=["there is no chat template", "--raw"])
        self.path("model/chat_template.jinja", "{{ messages | tojson }}")
        self.bad("generate", self.model, "--prompt", "x", "--chat", says=["none that is known", "--template NAME"])
        self.bad("generate", self.model, "--prompt", "x", "--template", "jinja", says="there are: qwen3, chatml")
        found = self.run_json("--prompt", "x", "--template", "chatml", "--system", "y", "--max-tokens", "4")
        want = b"<|im_start|>system\ny\x00\n<|im_start|>user\nx\x00\n<|im_start|>assistant\n"
        ends = [BYTES if i == 0 else i for i in want]
        self.assertEqual(found["prompt_ids"], ends)
        self.path("model/config.json", json.dumps({"eos_token_id": found["ids"][2]}))
        stopped = self.run_json("--prompt", "x", "--template", "chatml", "--system", "y", "--max-tokens", "4")
        first = found["ids"].index(found["ids"][2])
        self.assertEqual((stopped["ids"], stopped["finish"]), (found["ids"][:first + 1], "stop"))

    def test_usage(self):
        usage = lambda says, *arguments: self.assertIn(says, self.usage_error(*arguments))
        usage("one of --prompt, --file and --ids is needed, found 0")
        usage("found 2", "--prompt", "a", "--ids", "1")
        usage("--chat and --raw exclude each other", "--prompt", "a", "--chat", "--raw")
        usage("--chat and --ids exclude each other", "--ids", "1", "--chat")
        usage("--system needs --chat", "--prompt", "a", "--system", "b")
        usage("--stop needs text", "--ids", "1", "--stop", "b")
        for value in ["-1", "x", "nan", "inf", "1e99", "0x1", "", "1,5", "2000000"]:
            usage("--temperature takes a number", "--prompt", "a", "--temperature", value)
        usage("--top-p takes a number from 0 to 1", "--prompt", "a", "--top-p", "1.1")
        usage("--presence-penalty takes a number, not", "--prompt", "a", "--presence-penalty", "much")
        usage("--beams takes a number from 1 to 256", "--prompt", "a", "--beams", "257")
        usage("--max-tokens takes a number from 1", "--prompt", "a", "--max-tokens", "0")

    def usage_error(self, *arguments):
        status, out, err = attn("generate", self.model, *arguments)
        self.assertEqual((status, out), (2, ""), err)
        self.assertIn("\nusage: attn generate MODEL", err)
        return err

    def test_refused(self):
        bad = lambda says, *arguments: self.bad("generate", self.model, *arguments, says=says)
        self.path("long.txt", "a" * 10_000_000)
        bad(["a prompt of 10000000 tokens", "the context of 128"], "--file", self.path("long.txt"))
        bad("a prompt of 1 tokens and 128 to come", "--prompt", "a", "--max-tokens", "128")
        bad("token 1 of the prompt is 257, model \"tiny\" takes 0 to 256", "--ids", "1 257")
        bad("--ids takes ids such as", "--ids", "1 -1")
        bad("--ids takes ids such as", "--ids", "99999999999")
        bad("the prompt is empty", "--prompt", "")
        bad("the prompt is empty", "--ids", "")
        bad("a beam search takes no window", "--prompt", "a", "--beams", "2", "--window")
        bad("--early-stopping takes", "--prompt", "a", "--early-stopping", "soon")
        bad("stop string 0 is empty", "--prompt", "a", "--stop", "")
        bad("memory limit", "--prompt", "a", "--max-mem", "100K")
        bad("No such file", "--file", self.path("none.txt"))
        self.path("model/generation_config.json", "[")
        bad("generation_config.json", "--prompt", "a")
        self.path("model/generation_config.json", json.dumps({"bos_token_id": 65, "eos_token_id": [1, 2]}))
        self.assertEqual(self.run_json("--prompt", "", "--max-tokens", "3")["prompt_ids"], [65])
        broken = write_model(self, "broken", bias=float("nan"))
        self.bad("generate", broken, "--prompt", "a", "--quiet", says="the logit of token 0 is")
        picture = self.path("picture/attn.json", json.dumps({
            "format": "attn/1", "name": "p", "inputs": {"x": {"shape": [2]}},
            "graph": [{"layer": "relu", "in": "x", "out": "y"}], "outputs": {"y": {}}}))
        self.bad("generate", picture, "--ids", "1", says="generates no text: it has no input of kind \"tokens\"")
        self.bad("generate", "models/sentiment", "--prompt", "a",
                 says="generates no text: it has no output \"logits\" over a vocabulary")

    def test_window(self):
        self.bad("generate", self.model, "--prompt", "a", "--max-tokens", "300", says="do not fit")
        found = self.run_json("--prompt", "a", "--max-tokens", "300", "--window")
        self.assertEqual(found["tokens"], 300)
        again = self.run_json("--prompt", "a", "--max-tokens", "300", "--window", "--no-cache")
        self.assertEqual(again["ids"], found["ids"])
        smaller = self.run_json("--prompt", "a" * 40, "--max-tokens", "50", "--window", "--context", "20")
        self.assertEqual(smaller["tokens"], 50)

    def endless(self, **options):
        return subprocess.Popen(
            [ATTN, "generate", self.model, "--prompt", "a", "--max-tokens", "100000000", "--window", "--quiet"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def test_memory(self):
        """A limit that lets it begin lets it end; the memory said is within it."""
        need = self.run_json("--prompt", "a", "--max-tokens", "30", "--threads", "1")["memory"]
        for limit in [need // 2, need, need * 2, need + (2 << 20)]:
            status, out, err = attn("generate", self.model, "--prompt", "a", "--max-tokens", "30", "--json",
                                    "--threads", "1", "--max-mem", str(limit))
            if status:
                self.assertEqual((status, out, len(err.splitlines())), (1, "", 1))
            else:
                self.assertLessEqual(json.loads(out)["memory"], limit)
        self.assertEqual(status, 0)

    def border(self, *command):
        """The least --max-mem that it runs with: one byte less is refused, by one line."""
        low, high, last = 1, 1 << 26, ""
        expected = self.good(*command)
        while high - low > 1:
            middle = (low + high) // 2
            status, out, err = attn(*command, "--max-mem", str(middle))
            if status:
                self.assertEqual((status, out, len(err.splitlines())), (1, "", 1))
                self.assertIn(f"more than the memory limit of {middle}", err)
                low, last = middle, err
            else:
                self.assertEqual(out, expected)
                high = middle
        return high, last

    def test_sum(self):
        """One limit for all that a command holds: at its border the last part says what the others have."""
        same = ("--threads", "1", "--quiet")
        prompt = ("--prompt", "a" * 30, "--max-tokens", "60", *same)
        sizes = {}
        for name, command in {
            "ids": ("generate", self.model, "--ids", ",".join(["97"] * 30), "--max-tokens", "60", *same),
            "text": ("generate", self.model, *prompt), "beams": ("generate", self.model, *prompt, "--beams", "64"),
            "tokenizer": ("tokenize", self.model, "a" * 30, "--quiet"),
            "classify": ("classify", "models/sentiment", "--text", "Good.", *same),
            "photo": ("classify", "models/cifar10_cct", "models/samples/cat.png", *same),
        }.items():
            with self.subTest(name):
                sizes[name], refused = self.border(*command)
                if name not in ("tokenizer", "ids"):
                    self.assertRegex(refused, r"needs \d+ bytes beside \d+ of the model, \d+ of the ")
        # The ids that a text has hold no tokenizer.
        self.assertGreater(sizes["text"], sizes["ids"])
        self.assertGreater(sizes["beams"], sizes["text"] + 60 * 64 * 4)

    def test_reader_goes_away(self):
        process = self.endless()
        self.assertEqual(len(process.stdout.read(5)), 5)  # the text comes while it is made
        process.stdout.close()
        self.assertEqual(process.wait(timeout=60), 0)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_interrupted(self):
        for number, status in [(signal.SIGINT, 130), (signal.SIGTERM, 130)]:
            process = self.endless()
            process.stdout.read(5)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (status, b""))
            self.assertTrue(out.endswith(b"\n"))

    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full")
    def test_disk_full(self):
        with open("/dev/full", "w") as full:
            status, _, err = attn("generate", self.model, "--prompt", "a", "--quiet", stdout=full)
        self.assertEqual(status, 1)
        self.assertIn("standard output", err)


if __name__ == "__main__":
    unittest.main()
