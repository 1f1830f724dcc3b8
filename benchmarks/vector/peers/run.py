"""Measure one library: run.py PEER SET.npz THREADS, in the peers' environment; one line of JSON for each variant."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
EFS = (10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 900)


def file_bytes(save):
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"hekla-bench-{os.getpid()}"
    save(str(path))
    files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    size = sum(f.stat().st_size for f in files)
    for file in files:
        file.unlink()
    return size


def symphonyqg(rows, queries, nearest, threads, bits=0):
    from rabitqlib import SymqgIndex

    index = SymqgIndex(rows.shape[1], 32, "l2", bits)
    _, cpu = timed(lambda: index.build(rows, 200, num_threads=threads))

    def search(ef):
        return index.search(queries, K, ef, num_threads=threads)[0]

    name = f"SymphonyQG {bits or 'raw'}{' bits' if bits else ''}"
    report(name, cpu, file_bytes(index.save) / len(rows), sweep(search, EFS, nearest))


def hnswlib(rows, queries, nearest, threads):
    import hnswlib

    index = hnswlib.Index("l2", rows.shape[1])
    index.init_index(len(rows), M=16, ef_construction=200, random_seed=1)
    _, cpu = timed(lambda: index.add_items(rows, num_threads=threads))

    def search(ef):
        index.set_ef(ef)
        return index.knn_query(queries, K, num_threads=threads)[0]

    report("hnswlib M16", cpu, file_bytes(index.save_index) / len(rows), sweep(search, EFS, nearest))


def usearch(rows, queries, nearest, threads):
    import numpy as np
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="l2sq", dtype="f16", connectivity=16, expansion_add=128)
    _, cpu = timed(lambda: index.add(np.arange(len(rows)), rows, threads=threads))

    def search(ef):
        index.expansion_search = ef
        return index.search(queries, K, threads=threads).keys

    report("usearch f16", cpu, index.memory_usage / len(rows), sweep(search, EFS, nearest))


def faiss_hnsw(rows, queries, nearest, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWSQ(rows.shape[1], faiss.ScalarQuantizer.QT_8bit, 16)
    index.hnsw.efConstruction = 120

    def make():
        index.train(rows)
        index.add(rows)

    _, cpu = timed(make)

    def search(ef):
        index.hnsw.efSearch = ef
        return index.search(queries, K)[1]

    size = file_bytes(lambda path: faiss.write_index(index, path)) / len(rows)
    report("faiss HNSW-SQ8", cpu, size, sweep(search, EFS, nearest))


def faiss_ivfpq(rows, queries, nearest, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    lists = int(4 * len(rows) ** 0.5) // 2
    index = faiss.index_factory(rows.shape[1], f"IVF{lists},PQ{rows.shape[1] // 2}x4fs,RFlat")
    _, cpu = timed(lambda: (index.train(rows), index.add(rows)))
    inner = faiss.downcast_index(index.base_index)

    size = file_bytes(lambda path: faiss.write_index(index, path)) / len(rows)
    for factor in (4, 8, 24, 64):  # how many times k are re-ranked
        index.k_factor = factor

        def search(probes):
            inner.nprobe = probes
            return index.search(queries, K)[1]

        points = sweep(search, (1, 2, 4, 6, 9, 14, 20, 30), nearest)
        report(f"faiss IVF-PQ fast scan, refines {factor} k", cpu, size, points)


def svs(rows, queries, nearest, threads):
    import svs

    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"hekla-svs-{os.getpid()}.fvecs"
    svs.write_vecs(rows, str(path))
    loader = svs.VectorDataLoader(str(path), svs.DataType.float32, dims=rows.shape[1])
    parameters = svs.VamanaBuildParameters(graph_max_degree=32, window_size=128)
    data = svs.LVQLoader(loader, primary=8)
    index, cpu = timed(lambda: svs.Vamana.build(parameters, data, svs.DistanceType.L2, num_threads=threads))
    path.unlink()
    index.num_threads = threads

    def search(window):
        index.search_window_size = window
        return index.search(queries, K)[0]

    report("SVS LVQ8", cpu, rows.shape[1] + 8 + 33 * 4, sweep(search, EFS, nearest))


PEERS = {
    "symphonyqg": symphonyqg,
    "symphonyqg8": lambda *a: symphonyqg(*a, bits=8),
    "svs": svs,
    "faiss_ivfpq": faiss_ivfpq,
    "faiss_hnsw": faiss_hnsw,
    "usearch": usearch,
    "hnswlib": hnswlib,
}

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[3]
    import numpy as np
    from measure import K, report, sweep, timed

    stored = np.load(sys.argv[2])
    PEERS[sys.argv[1]](stored["rows"], stored["queries"], stored["nearest"], int(sys.argv[3]))
