"""The words everything else is written in: errors, dtypes, ids. The standard library, NumPy and ml_dtypes only."""
