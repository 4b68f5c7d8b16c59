"""Golden values for sampling and beam search, from transformers:

    python tests/golden/make_sampler.py [FOLDER]

tests/golden/sampler.txt: what the logits processors leave of made-up logits, and how probable it is.
A case whose cut is so close that rounding could move it is left out.

    case VOCABULARY SEED repetition temperature top_k top_p min_p   (0: not used)
    history ID...
    kept COUNT SUM_OF_IDS, then ID:PROBABILITY of at most 12, most probable first

tests/golden/beams.txt: what generate(num_beams=B) finds with a model whose logits are a hash of the
last two tokens.

    case SEED VOCABULARY BEAMS MAX_TOKENS length_penalty EARLY repetition   (EARLY: 0, 1, 2 = "never")
    stop ID...
    prompt ID...
    found SCORE ID...
"""

import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch  # noqa: E402
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel  # noqa: E402
from transformers.generation import logits_process as processes  # noqa: E402
from transformers.modeling_outputs import CausalLMOutput  # noqa: E402

MASK = 0xFFFFFFFF


def mix(x):
    """A hash of 32 bits; the tests have the same one in C."""
    x = (x ^ (x >> 16)) * 0x7FEB352D & MASK
    x = (x ^ (x >> 15)) * 0x846CA68B & MASK
    return x ^ (x >> 16)


def number(seed, index):
    """In [-8, 8), exact in f32."""
    return ((mix((seed * 0x9E3779B1 + index) & MASK) >> 8) - (1 << 23)) / (1 << 20)


def logits_of(seed, size, scale=1.0):
    return torch.tensor([number(seed, i) for i in range(size)], dtype=torch.float32) * scale


def near(values, cut, margin):
    return bool(((values - cut).abs() < margin).any())


def sample_case(out, seed, size, repetition, temperature, top_k, top_p, min_p):
    history = [mix(seed * 31 + i) % size for i in range(seed % 9)]
    ids, scores = torch.tensor([history], dtype=torch.long), logits_of(seed, size)[None]
    if seed % 5 == 0:  # equal ones at the cut of top-k
        scores = (scores * 2).round() / 2
    if repetition and history:
        scores = processes.RepetitionPenaltyLogitsProcessor(repetition)(ids, scores)
    if temperature != 1:
        scores = processes.TemperatureLogitsWarper(temperature)(ids, scores)
    if top_k:
        scores = processes.TopKLogitsWarper(top_k)(ids, scores)
    if top_p:
        exact = torch.sort(scores[0].double()).values.softmax(0).cumsum(0)
        ordered = torch.sort(scores[0]).values
        tied = (ordered[1:] == ordered[:-1]) & (ordered[1:] > -1e30)
        if near(exact, 1 - top_p, 1e-5) or bool(tied.any()):
            return 0
        scores = processes.TopPLogitsWarper(top_p)(ids, scores)
    if min_p:
        probability = scores[0].double().softmax(0)
        if near(probability / probability.max(), min_p, 1e-5):
            return 0
        scores = processes.MinPLogitsWarper(min_p)(ids, scores)
    probability = scores[0].double().softmax(0)
    kept = [i for i in range(size) if scores[0, i] > -1e30]
    kept.sort(key=lambda i: (-float(probability[i]), i))
    print("case", size, seed, repetition, temperature, top_k, top_p, min_p, file=out)
    print("history", *history, file=out)
    print("kept", len(kept), sum(kept), *["%d:%.7g" % (i, probability[i]) for i in kept[:12]], file=out)
    return 1


def sampler(path):
    cases = 0
    with open(path, "w") as out:
        print("# By make_sampler.py, from transformers' logits processors.", file=out)
        for seed in range(1, 121):
            pick = lambda choices, salt: choices[mix(seed * 97 + salt) % len(choices)]
            size = pick([5, 17, 64, 300, 2000], 1)
            cases += sample_case(
                out, seed, size, pick([0, 0, 1.1, 1.3, 0.8], 2), pick([1.0, 1.0, 0.7, 0.2, 1.5, 4.0], 3),
                pick([0, 0, 1, 3, 40, size, size + 9], 4), pick([0, 0, 0.9, 0.95, 0.5, 0.1], 5),
                pick([0, 0, 0.05, 0.2, 1.0], 6))
    return cases


class Config(PretrainedConfig):
    model_type = "hashed"

    def __init__(self, vocab_size=10, seed=1, **kwargs):
        self.vocab_size, self.seed = vocab_size, seed
        super().__init__(**kwargs)


class Hashed(PreTrainedModel, GenerationMixin):
    """Logits are a hash of the last two tokens."""

    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.post_init()

    def forward(self, input_ids=None, **kwargs):
        seed, size = self.config.seed, self.config.vocab_size
        rows = []
        for row in input_ids.tolist():
            state = (row[-2] if len(row) > 1 else 0) * size + row[-1]
            rows.append(logits_of(mix(seed + state), size, 0.25))
        return CausalLMOutput(logits=torch.stack(rows)[:, None])

    def prepare_inputs_for_generation(self, input_ids, **kwargs):
        return {"input_ids": input_ids}


EARLY = [False, True, "never"]


def beams(path):
    cases = 0
    with open(path, "w") as out:
        print("# By make_sampler.py, from transformers' generate().", file=out)
        for seed in range(1, 91):
            pick = lambda choices, salt: choices[mix(seed * 89 + salt) % len(choices)]
            size, count = pick([12, 20, 50], 1), pick([2, 3, 4, 5], 2)
            tokens, penalty = pick([1, 2, 7, 20], 3), pick([1.0, 0.0, 2.0, -1.0, 0.6], 4)
            early, repetition = pick([0, 1, 2], 5), pick([0, 0, 1.2], 6)
            stop = sorted({mix(seed + 7 * i) % size for i in range(pick([1, 1, 2, 3], 7))})
            prompt = [mix(seed * 13 + i) % size for i in range(pick([1, 2, 5], 8))]
            model = Hashed(Config(vocab_size=size, seed=seed)).eval()
            config = GenerationConfig(
                num_beams=count, do_sample=False, max_new_tokens=tokens, length_penalty=penalty,
                early_stopping=EARLY[early], eos_token_id=stop, pad_token_id=0, use_cache=False,
                return_dict_in_generate=True, output_scores=True, max_length=None,
                repetition_penalty=repetition or 1.0)
            with torch.inference_mode():
                found = model.generate(torch.tensor([prompt]), generation_config=config)
            ids = found.sequences[0].tolist()[len(prompt):]
            print("case", seed, size, count, tokens, penalty, early, repetition, file=out)
            print("stop", *stop, file=out)
            print("prompt", *prompt, file=out)
            print("found %.7g" % float(found.sequences_scores[0]), *ids, file=out)
            cases += 1
    return cases


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent)
    print(sampler(folder / "sampler.txt"), "cases of sampling")
    print(beams(folder / "beams.txt"), "of beam search")
