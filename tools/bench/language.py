"""A language model's speed beside llama.cpp on the same GGUF file: the prompt, then token by token.

    python tools/bench/language.py [--build FOLDER] [--types f32,bf16,q8_0,q4_0 | --file MODEL.gguf]
        [--threads 1,2] [--rounds N] [--prompt 128] [--tokens 64] [--dtype int8] [--work FOLDER] [--json FILE]

The model has SmolLM2-135M's shape and random weights, unless --file names another; it is made once, in
--work (build/language). Both run in turns, round after round; what is printed are medians, and the medians
of the ratios of each round. The share is of the bytes per second that this machine reads from memory,
measured in the same rounds: decoding a token reads each weight once.

Needs numpy and gguf, and llama-cpp-python for the comparison: without it attn is measured alone. The build
needs -DATTN_BENCH=ON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = dict(layers=30, width=576, inner=1536, heads=9, kv_heads=3, vocabulary=49152, context=2048)
SEED = 1


# ---- the model --------------------------------------------------------------------------------

def tensors(shape):
    """(name, rows, columns); columns 0: a vector."""
    head = shape["width"] // shape["heads"]
    yield "token_embd.weight", shape["vocabulary"], shape["width"]
    for i in range(shape["layers"]):
        part = "blk.%d." % i
        yield part + "attn_norm.weight", shape["width"], 0
        yield part + "attn_q.weight", shape["width"], shape["width"]
        yield part + "attn_k.weight", shape["kv_heads"] * head, shape["width"]
        yield part + "attn_v.weight", shape["kv_heads"] * head, shape["width"]
        yield part + "attn_output.weight", shape["width"], shape["width"]
        yield part + "ffn_norm.weight", shape["width"], 0
        yield part + "ffn_gate.weight", shape["inner"], shape["width"]
        yield part + "ffn_up.weight", shape["inner"], shape["width"]
        yield part + "ffn_down.weight", shape["width"], shape["inner"]
    yield "output_norm.weight", shape["width"], 0


def make_file(path, kind, shape):
    import gguf
    import numpy as np

    types = gguf.GGMLQuantizationType
    type_of = {"f32": types.F32, "bf16": types.BF16, "q8_0": types.Q8_0, "q4_0": types.Q4_0}[kind]
    random = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(path + ".part", "llama")
    writer.add_block_count(shape["layers"])
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_feed_forward_length(shape["inner"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape["width"] // shape["heads"])
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(shape["vocabulary"])
    writer.add_tokenizer_model("no_vocab")
    for name, rows, columns in tensors(shape):
        if not columns:
            writer.add_tensor(name, np.ones(rows, np.float32))
            continue
        value = random.standard_normal((rows, columns), np.float32) * np.float32(columns ** -0.5)
        if kind == "f32":
            writer.add_tensor(name, value)
        else:
            writer.add_tensor(name, gguf.quants.quantize(value, type_of), raw_dtype=type_of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


def weight_bytes(path):
    """Of the tensors that every token reads: all; of a table that is not the output, too, only a row."""
    import gguf

    found = {t.name: int(t.n_bytes) for t in gguf.GGUFReader(path).tensors}
    tied = "output.weight" not in found
    return sum(size for name, size in found.items() if tied or name != "token_embd.weight")


# ---- the contestants --------------------------------------------------------------------------

def prompt_ids(count, vocabulary):
    state, ids = SEED, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2 ** 32
        ids.append(3 + (state >> 8) % (vocabulary - 3))
    return ids


def run_attn(options, path, ids, threads):
    """(seconds of the prompt, seconds of each token after it)"""
    text = subprocess.run(
        [os.path.join(options.build, "attn"), "generate", path, "--ids", ",".join(map(str, ids)),
         "--max-tokens", str(options.tokens + 1), "--threads", str(threads), "--json",
         *(["--dtype", options.dtype] if options.dtype else [])],
        stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(text)
    if found["tokens"] < 2:
        raise SystemExit("attn ended after %d tokens" % found["tokens"])
    return found["prompt_seconds"], 1 / found["tokens_per_second"]


class Llama:
    """llama.cpp in a process of its own, which sleeps while attn runs."""

    def __init__(self, path, ids, threads, tokens):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--serve", path, str(threads), str(tokens)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ids = json.dumps(ids)

    def run(self):
        self.process.stdin.write(self.ids + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve(path, threads, tokens):
    import llama_cpp

    model = llama_cpp.Llama(path, n_ctx=1024, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads,
                            verbose=False)
    for line in sys.stdin:
        ids = json.loads(line)
        model.reset()
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(model.ctx), True)
        begin = time.perf_counter()
        model.eval(ids)
        prompt = time.perf_counter() - begin
        begin = time.perf_counter()
        for i in range(tokens):
            model.eval([ids[i % len(ids)]])
        print(json.dumps([prompt, (time.perf_counter() - begin) / tokens]), flush=True)


def has_llama():
    try:
        import llama_cpp  # noqa: F401
        return True
    except Exception as error:  # not there, or not loadable
        print("llama-cpp-python cannot be had (%s): attn is measured alone" % error)
        return False


def read_rate(options, threads):
    """Bytes per second of reads from memory by so many threads."""
    text = subprocess.run([os.path.join(options.build, "bench_machine"), "--threads", str(threads), "--rounds", "3"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    line = [line for line in text.splitlines() if line.startswith("read")][-1]
    return 1e9 * float(line.split()[-1])


# ---- the report -------------------------------------------------------------------------------

def measure(options, path, name, threads, llama):
    ids = prompt_ids(options.prompt, SHAPE["vocabulary"])
    peer = Llama(path, ids, threads, options.tokens) if llama else None
    rounds = []
    if peer:
        peer.run()  # the file is in memory now
    run_attn(options, path, ids, threads)
    for _ in range(options.rounds):
        entry = {"attn": run_attn(options, path, ids, threads), "read": read_rate(options, threads)}
        if peer:
            entry["llama"] = peer.run()
        rounds.append(entry)
    if peer:
        peer.close()
    median = lambda of: statistics.median(of(entry) for entry in rounds)
    size = weight_bytes(path)
    result = {"model": name, "threads": threads, "bytes": size,
              "prompt": median(lambda e: options.prompt / e["attn"][0]), "decode": median(lambda e: 1 / e["attn"][1]),
              "share": median(lambda e: size / e["attn"][1] / e["read"]), "read": median(lambda e: e["read"])}
    if peer:
        result.update(llama_prompt=median(lambda e: options.prompt / e["llama"][0]),
                      llama_decode=median(lambda e: 1 / e["llama"][1]),
                      prompt_ratio=median(lambda e: e["attn"][0] / e["llama"][0]),
                      decode_ratio=median(lambda e: e["attn"][1] / e["llama"][1]))
    return result


def report(r):
    text = "%-6s %d thread%s  prompt %7.1f tokens/s  decoding %6.1f tokens/s, %3.0f %% of %.1f GB/s" % (
        r["model"], r["threads"], " " if r["threads"] == 1 else "s", r["prompt"], r["decode"], 100 * r["share"],
        r["read"] / 1e9)
    if "prompt_ratio" in r:
        text += "   llama.cpp %7.1f, %6.1f: attn takes %.2f, %.2f of its time" % (
            r["llama_prompt"], r["llama_decode"], r["prompt_ratio"], r["decode_ratio"])
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--types", default="f32,bf16,q8_0,q4_0")
    parser.add_argument("--file")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--dtype", help="attn's precision; llama.cpp rounds the inputs of 8- and 4-bit weights, as int8 does")
    parser.add_argument("--work", default="build/language")
    parser.add_argument("--json")
    options = parser.parse_args()
    llama, results = has_llama(), []
    os.makedirs(options.work, exist_ok=True)
    for kind in [None] if options.file else options.types.split(","):
        path = options.file or os.path.join(options.work, kind + ".gguf")
        if not os.path.exists(path):
            make_file(path, kind, SHAPE)
        for threads in map(int, options.threads.split(",")):
            results.append(measure(options, path, kind or "file", threads, llama))
            report(results[-1])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
