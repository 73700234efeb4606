"""Tests of the pages that `tmpack report` and `compare --html` make, in a browser: python3 -m unittest discover Tests/Documents

They need Chromium, and a tool that is built: TMPACK, or .build/release/tmpack. They are skipped where one of them is missing.
"""
import html, json, os, pathlib, re, shutil, struct, subprocess, tempfile, unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("TMPACK", ROOT / ".build/release/tmpack"))
BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
TENSORS = 10_000

# What a reader does with the large table, and what is then there.
SCRIPT = """
<script>
{
  const list = document.querySelector('.list'), field = list.querySelector('input'), seen = {};
  const heads = [...list.querySelectorAll('th button')];
  const column = name => heads.findIndex(b => b.textContent === name);
  const cells = name => [...list.querySelectorAll('tbody tr')].map(r => r.cells[column(name)].textContent);
  const type = text => { field.value = text; field.dispatchEvent(new Event('input')); };
  const click = name => heads[column(name)].click();
  const status = () => list.querySelector('[role=status]').textContent;
  const timed = (name, work) => { const start = performance.now(); work(); document.body.offsetHeight; seen[name] = performance.now() - start; };
  seen.first = status();
  timed('sorting', () => click('lost'));
  seen.sort = heads[column('lost')].parentElement.getAttribute('aria-sort');
  seen.worst = cells('lost').slice(0, 5).map(Number);
  click('lost');
  seen.best = cells('lost').slice(0, 5).map(Number);
  click('tensor');
  seen.names = cells('tensor').slice(0, 3);
  timed('filtering', () => type('layers.7.'));
  seen.filtered = status();
  seen.others = cells('tensor').filter(name => !name.includes('layers.7.')).length;
  type('nothing of that name');
  seen.none = status();
  type('');
  const more = list.querySelector('.more');
  more.click();
  seen.more = status();
  seen.keys = heads.every(b => b.tabIndex === 0) && field.labels.length === 1;
  seen.pictures = [...document.querySelectorAll('svg')].every(s => s.getAttribute('role') === 'img' && s.getAttribute('aria-label'));
  const out = document.createElement('pre');
  out.id = 'seen';
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
}
</script>
"""


def checkpoint(path, tensors, seed):
    """Matrices of 8 × 8, of which those of a later layer differ more between seeds."""
    header, data = {}, bytearray()
    for index in range(tensors):
        values = [((index * 64 + i) * 2654435761 % 1000003) / 1e6 for i in range(64)]
        if seed:
            values = [v + (1 + index) / tensors * (((index * 64 + i + seed) * 40503 % 65521) / 65521 - 0.5) for i, v in enumerate(values)]
        header[f"layers.{index // 10}.m{index % 10}.weight"] = {"dtype": "F32", "shape": [8, 8], "data_offsets": [len(data), len(data) + 256]}
        data += struct.pack("<64f", *values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@unittest.skipUnless(BROWSER and TOOL.is_file(), "no browser or no tool")
class ReportTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        for name, seed in (("base", 0), ("tuned", 1)):
            checkpoint(cls.folder / f"{name}.safetensors", TENSORS, seed)
        cls.tool("pack", "--base", "base.safetensors", "--expert", "tuned.safetensors", "--rank", "2", "-o", "zoo.tmpack", "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def tool(cls, *arguments):
        subprocess.run([TOOL, *arguments], cwd=cls.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def seen(self, page, script):
        path = self.folder / "scripted.html"
        path.write_text((self.folder / page).read_text().replace("</body>", script + "</body>"))
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder}/browser", "--dump-dom", path.as_uri()],
                              capture_output=True, text=True, timeout=120)
        found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
        self.assertIsNotNone(found, done.stderr[-2000:])
        return json.loads(html.unescape(found[1]))

    def test_ten_thousand_tensors(self):
        self.tool("report", "zoo.tmpack", "-o", "zoo.html", "--force")
        seen = self.seen("zoo.html", SCRIPT)
        self.assertEqual(seen["first"], f"200 of {TENSORS} rows")
        self.assertEqual(seen["sort"], "descending")
        self.assertEqual(seen["worst"], sorted(seen["worst"], reverse=True))
        self.assertEqual(seen["best"], sorted(seen["best"]))
        self.assertLess(max(seen["best"]), min(seen["worst"]))
        self.assertEqual(seen["names"], [f"layers.0.m{i}.weight" for i in range(3)])
        self.assertEqual((seen["filtered"], seen["others"], seen["none"]), ("10 rows", 0, "0 rows"))
        self.assertEqual(seen["more"], f"400 of {TENSORS} rows")
        self.assertTrue(seen["keys"] and seen["pictures"])
        print(f"{TENSORS} tensors: sorting {seen['sorting']:.0f} ms, filtering {seen['filtering']:.0f} ms", flush=True)

    def test_two_checkpoints(self):
        self.tool("compare", "base.safetensors", "tuned.safetensors", "--html", "both.html", "--force")
        script = """<script>{
          const list = document.querySelector('.list'), heads = [...list.querySelectorAll('th button')];
          heads.find(b => b.textContent === 'relative error').click();
          const out = document.createElement('pre'); out.id = 'seen';
          out.textContent = JSON.stringify({first: list.querySelector('tbody tr').cells[0].textContent, status: list.querySelector('[role=status]').textContent});
          document.body.append(out);
        }</script>"""
        seen = self.seen("both.html", script)
        self.assertEqual(seen["status"], f"200 of {TENSORS} rows")
        self.assertRegex(seen["first"], r"layers\.9\d\d\.")

    def test_nothing_is_fetched(self):
        self.tool("report", "zoo.tmpack", "--quick", "-o", "quick.html", "--force")
        text = (self.folder / "quick.html").read_text()
        self.assertIn("default-src 'none'", text)
        self.assertIsNone(re.search(r"""(?:src|href)\s*=|https?://|@import|url\(""", text))


if __name__ == "__main__":
    unittest.main()
