"""Fits a TF-IDF linear SVM on the train split and writes it where each call can read it cheaply.

Run by auto-itera as an arm's `prepare` command: `ITERA_TRAIN` names the train rows (NDJSON, labels
included), `ITERA_STATE` the folder for what is learned. Nothing else of the source is in reach.

usage: train.py word|char
"""

import array
import json
import os
import sqlite3
import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

FEATURES = {
    "word": dict(analyzer="word", ngram_range=(1, 2)),
    "char": dict(analyzer="char_wb", ngram_range=(2, 4)),
}


def main() -> None:
    kind = sys.argv[1]
    with open(os.environ["ITERA_TRAIN"], encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) >= 1_000 and {row["split"] for row in rows} <= {"train", "test"}
    vectorizer = TfidfVectorizer(sublinear_tf=True, **FEATURES[kind])
    matrix = vectorizer.fit_transform([row["text"] for row in rows])
    model = LinearSVC(C=1.0, random_state=7).fit(matrix, [row["label"] for row in rows])

    state = sqlite3.connect(os.path.join(os.environ["ITERA_STATE"], "model.sqlite"))
    state.execute("CREATE TABLE model(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    state.execute("CREATE TABLE feature(gram TEXT PRIMARY KEY, idf REAL, weights BLOB) WITHOUT ROWID")
    state.execute("INSERT INTO model VALUES ('classes', ?)", (json.dumps(list(model.classes_)),))
    state.execute("INSERT INTO model VALUES ('intercept', ?)", (array.array("f", model.intercept_).tobytes(),))
    weights = model.coef_.T.astype("float32")
    state.executemany(
        "INSERT INTO feature VALUES (?, ?, ?)",
        ((gram, float(vectorizer.idf_[i]), weights[i].tobytes()) for gram, i in sorted(vectorizer.vocabulary_.items())),
    )
    state.commit()
    state.close()
    print(f"{kind}: {len(rows)} rows, {len(vectorizer.vocabulary_)} features, {len(model.classes_)} labels")


main()
