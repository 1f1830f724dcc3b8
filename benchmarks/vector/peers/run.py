"""Measure one library: run.py PEER SET.npz THREADS, in the peers' environment; one line of JSON for each variant."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
EFS = (10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 900)
PROBES = (1, 2, 4, 6, 9, 14, 20, 30, 45, 64)


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
    _, took = timed(lambda: index.build(rows, 200, num_threads=threads))

    def search(ef, count):
        return index.search(queries, K, ef, num_threads=count)[0]

    name = f"SymphonyQG {bits or 'raw'}{' bits' if bits else ''}"
    report(name, "degree 32, ef 200", took, file_bytes(index.save) / len(rows), search, EFS, nearest, threads)


def hnswlib(rows, queries, nearest, threads):
    import hnswlib

    index = hnswlib.Index("l2", rows.shape[1])
    index.init_index(len(rows), M=16, ef_construction=200, random_seed=1)
    _, took = timed(lambda: index.add_items(rows, num_threads=threads))

    def search(ef, count):
        index.set_ef(ef)
        return index.knn_query(queries, K, num_threads=count)[0]

    size = file_bytes(index.save_index) / len(rows)
    report("hnswlib M16", "M 16, ef 200", took, size, search, EFS, nearest, threads)


def usearch(rows, queries, nearest, threads):
    import numpy as np
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="l2sq", dtype="f16", connectivity=16, expansion_add=128)
    _, took = timed(lambda: index.add(np.arange(len(rows)), rows, threads=threads))

    def search(ef, count):
        index.expansion_search = ef
        return index.search(queries, K, threads=count).keys

    size = index.memory_usage / len(rows)
    report("usearch f16", "connectivity 16, expansion 128", took, size, search, EFS, nearest, threads)


def faiss_hnsw(rows, queries, nearest, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    inner = faiss.IndexHNSWSQ(rows.shape[1], faiss.ScalarQuantizer.QT_8bit, 16)
    inner.hnsw.efConstruction = 120
    index = faiss.IndexRefineFlat(inner)
    index.k_factor = 2
    _, took = timed(lambda: (index.train(rows), index.add(rows)))

    def plain(ef, count):
        faiss.omp_set_num_threads(count)
        inner.hnsw.efSearch = ef
        return inner.search(queries, K)[1]

    def refined(ef, count):
        faiss.omp_set_num_threads(count)
        inner.hnsw.efSearch = ef
        return index.search(queries, K)[1]

    settings = "M 16, ef 120, 8-bit codes"
    size = file_bytes(lambda path: faiss.write_index(inner, path)) / len(rows)
    report("faiss HNSW-SQ8", settings, took, size, plain, EFS, nearest, threads)
    size += rows.shape[1] * 4
    report("faiss HNSW-SQ8, refines 2 k", f"{settings}, f32 rows", took, size, refined, EFS[2:], nearest, threads)


def faiss_hnsw_flat(rows, queries, nearest, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWFlat(rows.shape[1], 16)
    index.hnsw.efConstruction = 120
    _, took = timed(lambda: index.add(rows))

    def search(ef, count):
        faiss.omp_set_num_threads(count)
        index.hnsw.efSearch = ef
        return index.search(queries, K)[1]

    size = file_bytes(lambda path: faiss.write_index(index, path)) / len(rows)
    report("faiss HNSW", "M 16, ef 120, f32 rows", took, size, search, EFS, nearest, threads)


def faiss_ivfpq(rows, queries, nearest, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    lists = int(4 * len(rows) ** 0.5) // 2
    index = faiss.index_factory(rows.shape[1], f"IVF{lists},PQ{rows.shape[1] // 2}x4fs,RFlat")
    _, took = timed(lambda: (index.train(rows), index.add(rows)))
    inner = faiss.downcast_index(index.base_index)

    size = file_bytes(lambda path: faiss.write_index(index, path)) / len(rows)
    for factor in (4, 8, 24, 64):  # how many times k are re-ranked
        index.k_factor = factor

        def search(probes, count):
            faiss.omp_set_num_threads(count)
            inner.nprobe = probes
            return index.search(queries, K)[1]

        name = f"faiss IVF-PQ fast scan, refines {factor} k"
        settings = f"{lists} lists, a 4-bit code for 2 coordinates, refined by f32, probes swept"
        report(name, settings, took, size, search, PROBES, nearest, threads)


def svs(rows, queries, nearest, threads):
    import numpy as np
    import svs

    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"hekla-svs-{os.getpid()}.fvecs"
    parameters = svs.VamanaBuildParameters(graph_max_degree=32, window_size=128)

    def make(data):
        return svs.Vamana.build(parameters, data, svs.DistanceType.L2, num_threads=threads)

    if "GenuineIntel" in Path("/proc/cpuinfo").read_text():
        svs.write_vecs(rows, str(path))
        loader = svs.VectorDataLoader(str(path), svs.DataType.float32, dims=rows.shape[1])
        index, took = timed(lambda: make(svs.LVQLoader(loader, primary=8)))
        path.unlink()
        name, width = "SVS LVQ8", rows.shape[1] + 8
    else:  # asking for its codes ends the process there
        index, took = timed(lambda: make(rows.astype(np.float16)))
        name, width = "SVS f16 (LVQ refuses to run on this processor)", rows.shape[1] * 2

    def search(window, count):
        index.num_threads = count
        index.search_window_size = window
        return index.search(queries, K)[0]

    report(name, "degree 32, window 128", took, width + 33 * 4, search, EFS, nearest, threads)


PEERS = {
    "symphonyqg": symphonyqg,
    "symphonyqg8": lambda *a: symphonyqg(*a, bits=8),
    "svs": svs,
    "faiss_ivfpq": faiss_ivfpq,
    "faiss_hnsw": faiss_hnsw,
    "faiss_hnsw_flat": faiss_hnsw_flat,
    "usearch": usearch,
    "hnswlib": hnswlib,
}

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[3]
    import numpy as np
    from measure import K, report, timed

    with np.load(sys.argv[2]) as stored:
        rows, queries, nearest = stored["rows"], stored["queries"], stored["nearest"]
    PEERS[sys.argv[1]](rows, queries, nearest, int(sys.argv[3]))
