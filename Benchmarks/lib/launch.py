"""Runs a command and writes what it cost to a file: launch.py FILE COMMAND [ARGUMENT ...]

A process starts out with the peak memory of the one that started it, so what is measured is started by this small one.
"""
import os, sys, time

start = time.monotonic()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(process, 0)
wall = time.monotonic() - start
with open(sys.argv[1], "w") as file:
    file.write(f"{usage.ru_utime + usage.ru_stime} {wall} {usage.ru_maxrss}")
sys.exit(os.waitstatus_to_exitcode(status) % 256)
