"""Answer texts with a sentence teacher and keep the answers small: PCA, int8, in shards.

    python experiments/teachers/teachers_answer.py --teacher all-MiniLM-L6-v2 --texts texts/texts.txt --output answers/a

Resumable: run it again and it goes on with the first shard that is missing. The output holds
    pca.npz      components (width x dims), scale (dims): answer = int8 * scale, and the teacher's
                 embedding is about answer @ components.T; variance: the part of the energy kept
    00000.npy    int8, a row for each line of texts.txt from 0 on; 00001.npy the next, ...
    answers.json what was answered: teacher, texts, shard size

The components are fitted without taking the mean away, on the first texts, so that the dot
products of answers stay those of the teacher's embeddings. bfloat16: 800 sentences a second on
one core with AMX. `Answers(folder)` reads them again.
"""

import argparse
import hashlib
import itertools
import json
import os
import pathlib
import time

import numpy as np

MOST_TOKENS = 128
BATCH_TOKENS = 2048


class Answers:
    """Cached answers; `rows(start, stop)` gives float32 of the PCA's dims."""

    def __init__(self, folder, dims=None):
        self.folder = pathlib.Path(folder)
        kept = np.load(self.folder / "pca.npz")
        self.components, self.scale = kept["components"][:, :dims], kept["scale"][:dims]
        self.dims = len(self.scale)
        self.shard = json.loads((self.folder / "answers.json").read_text())["shard"]
        self.count = 0
        while (self.folder / f"{self.count // self.shard:05d}.npy").is_file():
            rows = np.load(self.folder / f"{self.count // self.shard:05d}.npy", mmap_mode="r").shape[0]
            self.count += rows
            if rows < self.shard:
                break

    def codes(self, start, stop):
        """int8 answers of lines start to stop."""
        parts = []
        while start < min(stop, self.count):
            index, first = divmod(start, self.shard)
            part = np.load(self.folder / f"{index:05d}.npy", mmap_mode="r")[first : first + stop - start, : self.dims]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts)

    def rows(self, start, stop):
        """float32 answers of lines start to stop."""
        return self.codes(start, stop).astype(np.float32) * self.scale

    def project(self, embeddings):
        """A teacher's own embeddings in the same dims."""
        return embeddings @ self.components


def embed(model, tokenizer, texts, autocast=False):
    """Embeddings of texts; each batch holds texts of one length, so nothing is padded."""
    import torch

    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.no_padding()
    encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    ids = [np.array(found.ids) for found in encode(texts)]
    sizes = np.array([len(found) for found in ids])
    result = np.empty((len(texts), model.words.weight.shape[1]), np.float32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for size in np.unique(sizes):
            chosen = np.flatnonzero(sizes == size)
            step = max(8, BATCH_TOKENS // size)
            for start in range(0, len(chosen), step):
                part = chosen[start : start + step]
                result[part] = model(torch.from_numpy(np.stack([ids[row] for row in part]))).float().numpy()
    return result


def write(path, array):
    """An array, all of it or none."""
    with open(path.with_suffix(".part"), "wb") as file:
        np.save(file, array)
    os.replace(path.with_suffix(".part"), path)


def main():
    """Answer shard after shard.

    Raises:
        SystemExit: the output holds answers of another kind.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--teacher",
        type=pathlib.Path,
        required=True,
        help="folder of the teacher (config.json, model.safetensors, tokenizer.json)",
    )
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="one text a line")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the answers")
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--shard", type=int, default=50_000, help="texts in a shard (a multiple of 1,000)")
    parser.add_argument("--fit", type=int, default=100_000, help="texts that the PCA is fitted on")
    parser.add_argument("--most", type=int, help="stop after so many texts")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    import torch
    from minilm import load

    torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.teacher)
    model = model.eval().to(torch.bfloat16)
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    with open(arguments.texts, "rb") as file:
        texts_sha = hashlib.file_digest(file, "sha256").hexdigest()
    with open(arguments.teacher / "model.safetensors", "rb") as file:
        teacher_sha = hashlib.file_digest(file, "sha256").hexdigest()
    what = {
        "texts": texts_sha,
        "teacher": teacher_sha,
        "shard": arguments.shard,
        "dims": arguments.dims,
        "fit": arguments.fit,
    }
    noted = output / "answers.json"
    if noted.is_file() and json.loads(noted.read_text()) != what:
        raise SystemExit(
            f"{output} holds answers to other texts, by another teacher or of another form (see {noted}): "
            "choose another --output"
        )
    noted.write_text(json.dumps(what, indent=1) + "\n")
    if not (output / "pca.npz").is_file():
        with open(arguments.texts, encoding="utf-8") as file:
            lines = [line.rstrip("\n") for line in itertools.islice(file, arguments.fit)]
        second = 0
        for start in range(0, len(lines), 20_000):
            found = embed(model, tokenizer, lines[start : start + 20_000])
            write(output / f"fit{start}.npy", found.astype(np.float16))
            second = second + found.T.astype(np.float64) @ found
            print(f"fit: {start + len(found)} of {len(lines)}", flush=True)
        values, vectors = np.linalg.eigh(second / len(lines))
        components = vectors[:, ::-1][:, : arguments.dims].astype(np.float32)
        spread = np.percentile(np.abs(found @ components), 99.99, axis=0).astype(np.float32)
        kept = float(values[::-1][: arguments.dims].sum() / values.sum())
        np.savez(output / "pca_part.npz", components=components, scale=spread / 127, variance=kept)
        os.replace(output / "pca_part.npz", output / "pca.npz")
        print(f"PCA to {arguments.dims}: {100 * kept:.2f} % of the energy kept", flush=True)
    pca = np.load(output / "pca.npz")

    def small(found):
        return np.clip(np.rint(found @ pca["components"] / pca["scale"]), -127, 127).astype(np.int8)

    with open(arguments.texts, encoding="utf-8") as file:
        for index in itertools.count():
            lines = [line.rstrip("\n") for line in itertools.islice(file, arguments.shard)]
            if not lines or (arguments.most and index * arguments.shard >= arguments.most):
                break
            if (output / f"{index:05d}.npy").is_file():
                continue
            began = time.time()
            if (
                index == 0
                and arguments.fit >= arguments.shard
                and all((output / f"fit{start}.npy").is_file() for start in range(0, arguments.shard, 20_000))
            ):
                found = np.concatenate(
                    [
                        np.load(output / f"fit{start}.npy").astype(np.float32)
                        for start in range(0, arguments.shard, 20_000)
                    ]
                )[: len(lines)]
            else:
                found = embed(model, tokenizer, lines)
            write(output / f"{index:05d}.npy", small(found))
            print(f"shard {index}: {len(lines)} texts, {len(lines) / (time.time() - began):.0f} a second", flush=True)
    for path in output.glob("fit*.npy"):
        path.unlink()


if __name__ == "__main__":
    main()
