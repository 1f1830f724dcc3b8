"""What became of a program: layout of records, assembly beside its source, vector code, proofs."""

from hekla.lang.explain.assembly import Listing, explain_assembly
from hekla.lang.explain.code import explain_code
from hekla.lang.explain.layout import LayoutReport, explain_layout
from hekla.lang.explain.proof import ProofReport, explain_proof
from hekla.lang.explain.vectors import VectorReport, explain_vectors

__all__ = [
    "LayoutReport",
    "Listing",
    "ProofReport",
    "VectorReport",
    "explain_assembly",
    "explain_code",
    "explain_layout",
    "explain_proof",
    "explain_vectors",
]
