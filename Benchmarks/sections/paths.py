"""Lets the sections import what is in lib/ and peers/, however they are started."""
import pathlib, sys

sys.path[1:1] = [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("lib", "peers")]
