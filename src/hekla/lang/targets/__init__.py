"""The machines code is made for: one file for each family, `known.py` finds one by name, `seam.py` is the contract."""
