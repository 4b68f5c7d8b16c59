"""attn classify --text, answer and fill against transformers' pipelines, on small folders with random weights."""

from __future__ import annotations

import json
import unittest

import numpy as np
import torch
from transformers import pipeline

from reference import AttnError, Case, attn
from text_folders import SENTENCES, write_folder

KINDS = ("Bert", "Roberta")


def texts(options: list[str]) -> list[str]:
    return [word for text in options for word in ("--text", text)]


class Classify(Case):
    def compare_top(self, folder: object, task: object, sentences: list[str], key: str = "probability") -> None:
        ours = json.loads(attn("classify", folder, "--json", "--top", "20", *texts(sentences)))["results"]
        theirs = task(sentences, top_k=None)
        for mine, reference in zip(ours, theirs, strict=True):
            scores = {entry["label"] or f"LABEL_{entry['index']}": entry[key] for entry in mine["top"]}
            self.assertEqual([entry["label"] for entry in reference], list(scores))
            for entry in reference:
                self.assertAlmostEqual(scores[entry["label"]], entry["score"], delta=2e-6)

    def test_sequences(self) -> None:
        labels = {0: "bad", 1: "fair", 2: "good"}
        for kind in KINDS:
            for problem, key in (
                (None, "probability"), ("single_label_classification", "probability"),
                ("multi_label_classification", "probability"), ("regression", "value"),
            ):
                with self.subTest(kind=kind, problem=problem):
                    folder = self.folder / f"{kind}-{problem}"
                    model, tokenizer = write_folder(
                        folder, f"{kind}ForSequenceClassification", id2label=labels,
                        label2id={name: i for i, name in labels.items()}, problem_type=problem)
                    self.compare_top(folder, pipeline("text-classification", model=model, tokenizer=tokenizer), SENTENCES, key)

    def test_one_class(self) -> None:
        folder = self.folder / "m"
        model, tokenizer = write_folder(folder, "BertForSequenceClassification", num_labels=1)
        self.compare_top(folder, pipeline("text-classification", model=model, tokenizer=tokenizer), SENTENCES[:4])

    def test_pair_and_file(self) -> None:
        folder = self.folder / "m"
        model, tokenizer = write_folder(folder, "BertForSequenceClassification", num_labels=3)
        task = pipeline("text-classification", model=model, tokenizer=tokenizer)
        lines = self.folder / "lines.txt"
        lines.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
        ours = json.loads(attn("classify", folder, "--json", "--file", lines, "--pair", "Paris!"))["results"]
        self.assertEqual(len(ours), len(SENTENCES))
        for text, mine in zip(SENTENCES, ours):
            reference = task({"text": text, "text_pair": "Paris!"}, top_k=1)
            reference = reference[0] if isinstance(reference, list) else reference
            self.assertEqual(mine["top"][0]["index"], int(reference["label"].split("_")[1]))
            self.assertAlmostEqual(mine["top"][0]["probability"], reference["score"], delta=2e-6)
        shown = attn("classify", folder, "--text", SENTENCES[4])
        self.assertEqual(shown.splitlines()[0], SENTENCES[4])
        self.assertEqual(len(shown.splitlines()), 4)
        alone = json.loads(attn("classify", folder, "--json", "--text", SENTENCES[4], "--pair", "Paris!"))["results"][0]
        self.assertEqual(alone, ours[4])

    def write_tagger(self, folder: object, kind: str, seed: int) -> tuple:
        labels = dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]))
        return write_folder(folder, f"{kind}ForTokenClassification", seed, id2label=labels,
                            label2id={name: i for i, name in labels.items()})

    def compare_entities(self, ours: list[dict], reference: list[dict], text: str) -> int:
        self.assertEqual([(e["label"], e["start"], e["end"]) for e in ours],
                         [(e["entity_group"], e["start"], e["end"]) for e in reference], text)
        for e, r in zip(ours, reference):
            self.assertAlmostEqual(e["score"], float(r["score"]), delta=2e-6)
            self.assertEqual(e["text"], text[e["start"] : e["end"]])
        return len(ours)

    def test_tokens(self) -> None:
        grouped = 0
        for kind in KINDS:
            for seed in range(4):
                folder = self.folder / f"{kind}-{seed}"
                model, tokenizer = self.write_tagger(folder, kind, seed)
                task = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
                ours = json.loads(attn("classify", folder, "--json", *texts(SENTENCES)))["results"]
                for text, mine in zip(SENTENCES, ours, strict=True):
                    grouped += self.compare_entities(mine["entities"], task(text), text)
        self.assertGreater(grouped, 100)

    def test_tokens_of_long_texts(self) -> None:
        """Windows that overlap, and their entities joined."""
        long = [" ".join(SENTENCES[i] for i in order) for order in ((1, 2, 6, 10, 3, 0), (6, 6, 5, 12, 8), range(14), (4,))]
        joined = 0
        for kind in KINDS:
            for seed in range(3):
                folder = self.folder / f"{kind}-{seed}"
                model, tokenizer = self.write_tagger(folder, kind, seed)
                for length, stride in ((62, 20), (31, 3), (40, 35)):
                    tokenizer.model_max_length = length
                    task = pipeline("token-classification", model=model, tokenizer=tokenizer,
                                    aggregation_strategy="simple", stride=stride)
                    ours = json.loads(attn("classify", folder, "--json", "--stride", str(stride), "--max-length", str(length),
                                           *texts(long)))["results"]
                    for text, mine in zip(long, ours, strict=True):
                        joined += self.compare_entities(mine["entities"], task(text), text)
        self.assertGreater(joined, 100)
        folder = self.folder / "sequence"
        write_folder(folder, "BertForSequenceClassification")
        with self.assertRaisesRegex(AttnError, "--stride is for models that label tokens"):
            attn("classify", folder, "--text", long[0], "--stride", "5")
        with self.assertRaisesRegex(AttnError, "for windows of single texts"):
            attn("classify", folder, "--text", long[0], "--max-length", "5")

    def test_long_text_is_cut(self) -> None:
        folder = self.folder / "m"
        write_folder(folder, "BertForSequenceClassification")
        long = "word " * 200
        cut = json.loads(attn("classify", folder, "--json", "--text", long))["results"][0]["top"]
        self.assertEqual(len(cut), 2)
        for length in (20, 62, 64, 1000, 10**30):  # the tokenizer's, and the model's 64
            model, tokenizer = write_folder(folder, "BertForSequenceClassification")
            tokenizer.model_max_length = length
            tokenizer.save_pretrained(folder)
            tokenizer.model_max_length = min(length, 64)
            task = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
            want = {entry["label"]: entry["score"] for entry in task([long], truncation=True)[0]}
            ours = json.loads(attn("classify", folder, "--json", "--text", long))["results"][0]["top"]
            for entry in ours:
                self.assertAlmostEqual(entry["probability"], want[f"LABEL_{entry['index']}"], delta=2e-6)
        file = folder / "tokenizer_config.json"
        settings = json.loads(file.read_text())
        for length, words in (("62", "is a text, expected a number"), (0, "is 0, expected 1 or more"), ([62], "is a list")):
            file.write_text(json.dumps({**settings, "model_max_length": length}))
            with self.assertRaisesRegex(AttnError, f'tokenizer_config.json: "model_max_length" {words}'):
                attn("classify", folder, "--text", long)

    def test_refused(self) -> None:
        folder = self.folder / "m"
        write_folder(folder, "BertModel")
        for arguments, status, words in (
            (("--text", "x"), 1, "no output of kind classes"), (("--pair", "x"), 2, "--pair goes with --text"),
            (("--text", "x", "photo.png"), 2, "texts are given by"), (("--file", "/nowhere"), 1, "/nowhere"),
        ):
            with self.assertRaises(AttnError) as caught:
                attn("classify", folder, *arguments)
            self.assertEqual(caught.exception.status, status)
            self.assertIn(words, caught.exception.error)


def best_spans(start: np.ndarray, end: np.ndarray, usable: np.ndarray, count: int, longest: int) -> list:
    """The likeliest (score, first, last) of a window, by transformers' select_starts_ends and decode_spans: the
    softmax is over the context and the tokens that begin a text, and these are then no answer."""
    def softmax(logits: np.ndarray) -> np.ndarray:
        e = np.exp(np.where(usable, logits, -10000) - np.where(usable, logits, -10000).max())
        return e / e.sum()

    p, q = softmax(start), softmax(end)
    p[0] = q[0] = 0
    spans = [(p[i] * q[j], i, j) for i in range(len(p)) for j in range(i, min(len(p), i + longest))]
    return [s for s in sorted(spans, key=lambda s: -s[0])[:count] if s[0] > 0 and usable[s[1]] and usable[s[2]]]


class Answer(Case):
    def reference(self, model: torch.nn.Module, tokenizer: object, question: str, context: str, top: int,
                  length: int, stride: int, longest: int) -> list[dict]:
        """What the pipeline "question-answering" of transformers 4 gives (5 has none): windows by the tokenizer, each
        answer made of whole words, the scores of answers with the same text added up."""
        windows = tokenizer(
            question, context, truncation="only_second", max_length=length, stride=stride,
            return_overflowing_tokens=True, return_offsets_mapping=True)
        answers: list[dict] = []
        for w, ids in enumerate(windows["input_ids"]):
            names = [name for name in ("input_ids", "token_type_ids", "attention_mask") if name in windows]
            with torch.inference_mode():
                output = model(**{name: torch.tensor([windows[name][w]]) for name in names})
            start, end = (x[0].double().numpy() for x in (output.start_logits, output.end_logits))
            sequence = windows.sequence_ids(w)
            usable = np.array([s == 1 or i == tokenizer.cls_token_id for s, i in zip(sequence, ids, strict=True)])
            for score, i, j in best_spans(start, end, usable, 2 * top + 10, longest):
                first = windows.word_to_chars(w, windows.token_to_word(w, i), 1).start
                last = windows.word_to_chars(w, windows.token_to_word(w, j), 1).end
                text = context[first:last]
                same = [a for a in answers if a["answer"].lower() == text.lower()]
                if same:
                    same[0]["score"] += score
                else:
                    answers.append({"answer": text, "score": score, "start": first, "end": last})
        return sorted(answers, key=lambda a: -a["score"])[:top]

    def test_answers(self) -> None:
        long = " ".join(SENTENCES[i] for i in (1, 2, 6, 10, 3, 0))
        twice = " ".join([long, "BERLIN!", long, SENTENCES[7], SENTENCES[13], "É é", long])
        for kind in KINDS:
            folder = self.folder / kind
            model, tokenizer = write_folder(folder, f"{kind}ForQuestionAnswering", max_position_embeddings=64)
            limit = tokenizer.model_max_length  # of tokenizer_config.json, below the 64 positions
            for question, context, options in (
                ("Who?", SENTENCES[1], {}), ("Where does he live?", long, {}), ("x", "emoji 😀 x", {}),
                ("Who?", twice, {}), ("Who?", twice, {"--max-length": 40, "--stride": 25}),
                ("Who?", twice, {"--stride": 1, "--longest": 3}), ("Who is it?", twice, {"--max-length": 30}),
            ):
                with self.subTest(kind=kind, question=question, **options):
                    length = options.get("--max-length", limit)
                    want = self.reference(
                        model, tokenizer, question, context, 5, length, options.get("--stride", length // 2),
                        options.get("--longest", 15))
                    ours = json.loads(attn(
                        "answer", folder, "--question", question, "--context", context, "--top", "5", "--json",
                        *[str(x) for pair in options.items() for x in pair]))["answers"]
                    self.assertEqual(len(ours), len(want))
                    for answer, entry in zip(ours, want):
                        self.assertAlmostEqual(answer["score"], entry["score"], delta=1e-5)
                    names = [a["answer"] for a in ours]
                    # Equal scores may stand in either order.
                    gaps = np.diff([a["score"] for a in want])
                    if len(gaps) == 0 or np.abs(gaps).min() > 1e-6:
                        self.assertEqual(names, [a["answer"] for a in want])
                        self.assertEqual([(a["start"], a["end"]) for a in ours], [(a["start"], a["end"]) for a in want])
                    for answer in ours:
                        self.assertEqual(answer["answer"], context[answer["start"] : answer["end"]])
        for question, options, words in ((long, (), "would have to go of the second text"),
                                         ("Who?", ("--stride", "62"), "the stride of 62 must be less")):
            with self.assertRaisesRegex(AttnError, words):
                attn("answer", folder, "--question", question, "--context", twice, *options)


class Fill(Case):
    def test_candidates(self) -> None:
        for kind in KINDS:
            folder = self.folder / kind
            model, tokenizer = write_folder(folder, f"{kind}ForMaskedLM")
            task, mask = pipeline("fill-mask", model=model, tokenizer=tokenizer), tokenizer.mask_token
            for text in (f"Paris is the {mask} of France.", f"{mask}", f"My {mask} is {mask} and"):
                reference = task(text)
                reference = reference if isinstance(reference[0], list) else [reference]
                places = json.loads(attn("fill", folder, "--json", "--", text))["places"]
                for place, entries in zip(places, reference, strict=True):
                    self.assertEqual([e["token"] for e in place], [e["token"] for e in entries])
                    for mine, entry in zip(place, entries):
                        self.assertAlmostEqual(mine["probability"], entry["score"], delta=2e-6)
                        self.assertEqual(mine["text"], entry["token_str"])
                        self.assertEqual(mine["sequence"], entry["sequence"])
            with self.assertRaisesRegex(AttnError, "the text has no "):
                attn("fill", folder, "nothing")


if __name__ == "__main__":
    unittest.main()
