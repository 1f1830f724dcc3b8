"""The seams: what engines, stages and doors promise one another. No behaviour lives here."""
