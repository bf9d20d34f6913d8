"""Batches of unlabelled texts in word numbers, and what an encoder is to make of them."""

import numpy as np
import torch
from teachers_answer import Answers
from torch.nn import functional

HELD_OUT = 2000
OWN_SPREAD = 0.4  # variance of the outputs that only labelled sets teach, beside 1 of the others
LONGEST = 64


class Data:
    """Batches of texts of about one length, and their targets."""

    def __init__(self, args, width):
        self.ids, self.offsets = np.load(args.words / "ids.npy"), np.load(args.words / "offsets.npy")
        several = [Answers(folder) for folder in args.answers]
        self.texts = (len(self.offsets) - 1) // 2
        self.count = min([self.texts, args.most or 10**9] + [one.count for one in several])
        weights = args.weights or [1.0] * len(several)
        self.parts = [one.codes(0, self.count) for one in several]
        self.scales = [one.scale * weight for one, weight in zip(several, weights, strict=True)]
        sample = self.answers(np.arange(min(50_000, self.count)))
        values, vectors = np.linalg.eigh(sample.T @ sample)
        self.basis = vectors[:, ::-1][:, :width].astype(np.float32)
        kept = values[::-1][:width].sum() / values.sum()
        print(f"{self.count} texts, targets of {sample.shape[1]} to {width}: {kept:.4f} of the energy", flush=True)
        self.sizes = np.diff(self.offsets)
        self.run, self.other, self.first_weight = 0, None, weights[0]

    @torch.inference_mode()
    def align(self, reader):
        """Chooses the basis, orthonormal, in which the answers come nearest to an encoder's outputs (Procrustes)."""
        rows = np.arange(min(20_000, self.count))
        rows = rows[np.argsort(self.sizes[rows], kind="stable")]
        parts = [reader.sums(self.matrix(part, reader.specials)) for part in np.array_split(rows, len(rows) // 200)]
        points = functional.normalize(torch.cat(parts), dim=1).numpy()
        answers = self.answers(rows)
        u, _, v = np.linalg.svd(answers.T @ points, full_matrices=False)
        self.basis = (u @ v).astype(np.float32)
        found = answers @ self.basis
        cosine = (found * points).sum(1) / np.linalg.norm(found, axis=1)
        print(f"aligned: cosine {cosine.mean():.3f}, energy {(found**2).sum() / (answers**2).sum():.3f}", flush=True)

    def basis_of_first(self, dims):
        """What brings the first teacher's first numbers nearest to the targets: float32 `[dims, width]`."""
        rows = np.arange(min(50_000, self.count))
        answers = self.answers(rows)
        return np.linalg.lstsq(answers[:, :dims] / self.first_weight, answers @ self.basis, rcond=None)[0]

    def learn_residual(self, folder, shared):
        """Takes what another teacher says beyond the first, for the last outputs: its residual's components."""
        other = Answers(folder)
        self.count = min(self.count, other.count)
        self.other, self.other_scale = other.codes(0, self.count), other.scale
        rows = np.arange(min(50_000, self.count))
        first, second = self.answers(rows), self.other[rows] * self.other_scale
        self.known = np.linalg.solve(first.T @ first + 1e-2 * np.eye(first.shape[1]), first.T @ second)
        left = second - first @ self.known
        self.middle = left.mean(0)
        values, vectors = np.linalg.eigh(np.cov((left - self.middle).T))
        own = self.basis.shape[1] - shared
        ratio = OWN_SPREAD * (first @ self.basis[:, :shared]).var(0).sum() / values[::-1][:own].sum()
        self.residual = (vectors[:, ::-1][:, :own] * np.sqrt(ratio)).astype(np.float32)
        part, boost = values[::-1][:own].sum() / values.sum(), np.sqrt(ratio)
        print(f"residual {values.sum():.3f} of 1, {part:.2f} of it kept, times {boost:.2f}", flush=True)

    def targets(self, rows, answers, shared):
        """Unit vectors float32 `[n, shared or all]`."""
        found = answers @ self.basis[:, :shared]
        if self.other is not None:
            left = self.other[rows] * self.other_scale - answers @ self.known - self.middle
            found = np.concatenate([found, left @ self.residual], 1)
        return functional.normalize(torch.from_numpy(found.astype(np.float32)), dim=1)

    def answers(self, rows):
        return np.concatenate(
            [part[rows].astype(np.float32) * scale for part, scale in zip(self.parts, self.scales, strict=True)], 1
        )

    def cluster(self, count, run=32):
        """Groups texts by their targets (k-means), so that a batch holds near neighbours."""
        torch.manual_seed(0)
        points = functional.normalize(
            torch.from_numpy(
                np.concatenate(
                    [
                        self.answers(np.arange(at, min(at + 50_000, self.count))) @ self.basis
                        for at in range(0, self.count, 50_000)
                    ]
                )
            ),
            dim=1,
        )
        sample = points[torch.randperm(len(points))[:60_000]]
        centres = sample[:count].clone()
        for _ in range(8):
            nearest = (sample @ centres.T).argmax(1)
            centres = functional.normalize(
                torch.zeros_like(centres).index_add(0, nearest, sample) + 1e-6 * centres, dim=1
            )
        self.clusters = torch.cat([(part @ centres.T).argmax(1) for part in points.split(20_000)]).numpy()
        self.run = run

    def clustered(self, number, batch, noise):
        chance = np.random.default_rng([7, number])
        order = chance.permutation(self.count - HELD_OUT) + HELD_OUT
        sizes = self.sizes[order] + chance.random(len(order)) * 6
        order = order[np.lexsort((sizes, self.clusters[order]))]
        runs = []
        edges = np.flatnonzero(np.diff(self.clusters[order])) + 1
        for part in np.split(order, edges):
            part = part[chance.integers(0, self.run) :] if len(part) > 2 * self.run else part
            runs += [part[at : at + self.run] for at in range(0, len(part) - self.run + 1, self.run)]
        runs = [runs[i] for i in chance.permutation(len(runs))]
        each, result = batch // self.run, []
        for start in range(0, len(runs), each * 64):
            some = sorted(runs[start : start + each * 64], key=lambda run: np.partition(self.sizes[run], -3)[-3])
            result += [np.concatenate(some[at : at + each]) for at in range(0, len(some) - each + 1, each)]
        result = [rows + self.texts * (chance.random(len(rows)) < noise) for rows in result]
        return [result[i] for i in chance.permutation(len(result))]

    def epoch(self, number, batch, noise):
        if self.run:
            return self.clustered(number, batch, noise)
        chance = np.random.default_rng([7, number])
        order = chance.permutation(self.count - HELD_OUT) + HELD_OUT
        read = order + self.texts * (chance.random(len(order)) < noise)
        result, chunk = [], batch * 64
        for start in range(0, len(read) - batch + 1, chunk):
            some = read[start : start + chunk]
            some = some[np.argsort(self.sizes[some], kind="stable")]
            result += [some[at : at + batch] for at in range(0, len(some) - batch + 1, batch)]
        return [result[i] for i in chance.permutation(len(result))]

    def matrix(self, rows, specials):
        """Word numbers int32 [B, T] with [CLS] and [SEP], `pad` where there is none."""
        return matrix([self.ids[self.offsets[row] : self.offsets[row + 1]][: LONGEST - 2] for row in rows], specials)


def matrix(texts, specials):
    """Word numbers int32 [B, T] with [CLS] and [SEP], `pad` where there is none."""
    cls, sep, pad = specials
    sizes = np.array([len(text) for text in texts])
    found = np.full((len(texts), sizes.max() + 2), pad, np.int32)
    found[:, 0] = cls
    found[:, 1:-1][np.arange(sizes.max()) < sizes[:, None]] = np.concatenate(texts)
    found[np.arange(len(texts)), sizes + 1] = sep
    return found


def paired(ids, specials):
    """Two halves of a batch as pairs: ids [B/2, 2T], segments."""
    pad = specials[2]
    half, width = len(ids) // 2, ids.shape[1]
    found = np.full((half, 2 * width), pad, np.int32)
    segments = np.zeros((half, 2 * width), np.int64)
    first, second = ids[:half], ids[half:]
    found[:, :width] = first
    rows, columns = np.arange(half)[:, None], (first != pad).sum(1)[:, None] + np.arange(width - 1)
    found[rows, columns] = second[:, 1:]
    segments[rows, columns] = second[:, 1:] != pad
    return found, segments
