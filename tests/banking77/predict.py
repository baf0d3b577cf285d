"""Answers one row: TF-IDF and the linear SVM of train.py, with the standard library alone.

One process per row, so nothing heavy is imported; the features that the row has are looked up one
by one. The grams are those of scikit-learn's `word` and `char_wb` analyzers.

usage: predict.py word|char, a row as JSON on stdin
"""

import array
import json
import math
import os
import re
import sqlite3
import sys


def word_grams(text):
    words = re.findall(r"\b\w\w+\b", text.lower())
    return words + [f"{a} {b}" for a, b in zip(words, words[1:])]


def char_grams(text):
    grams = []
    for word in text.lower().split():
        word = f" {word} "
        for n in (2, 3, 4):
            grams.extend(word[i : i + n] for i in range(max(len(word) - n, 0) + 1))
            if len(word) <= n:
                # A word no longer than a gram is counted once, not once per length.
                break
    return grams


def main():
    text = json.load(sys.stdin)["input"]["text"]
    state = sqlite3.connect(f"file:{os.environ['ITERA_STATE']}/model.sqlite?mode=ro&immutable=1", uri=True)
    counts = {}
    for gram in {"word": word_grams, "char": char_grams}[sys.argv[1]](text):
        counts[gram] = counts.get(gram, 0) + 1
    marks = ",".join("?" * len(counts))
    query = f"SELECT gram, idf, weights FROM feature WHERE gram IN ({marks})"
    found = [((1.0 + math.log(counts[gram])) * idf, blob) for gram, idf, blob in state.execute(query, list(counts))]
    norm = math.sqrt(sum(value * value for value, _ in found)) or 1.0
    scores = array.array("f", state.execute("SELECT value FROM model WHERE name = 'intercept'").fetchone()[0]).tolist()
    for value, blob in found:
        share = value / norm
        for i, weight in enumerate(array.array("f", blob)):
            scores[i] += share * weight
    classes = json.loads(state.execute("SELECT value FROM model WHERE name = 'classes'").fetchone()[0])
    print(classes[max(range(len(classes)), key=scores.__getitem__)])


main()
