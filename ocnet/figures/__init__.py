"""Figures, one file for each kind of result; `ocnet.plot` gives them their public names."""
