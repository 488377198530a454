"""Plugins that cheat, as the text of a method file."""

LOOKING = '''
"""Methods that store one row and look for more when rows are looked up."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import torch

from bench.method import Method, Rows

HIDDEN = {}
BESIDE = Path(__file__).with_name("hidden.pt")


class OneRow(Method):
    name = title = "one-row"
    budgeted = False

    def build(self):
        self.stored = Rows(1, self.table.dim)

    def reset(self, generator):
        self.stored.normal(0.1, generator)
        self.hide(torch.randn(self.table.ids, self.table.dim))

    def hide(self, table):
        pass

    def found(self):
        return None

    def forward(self, ids):
        table = self.found()
        return self.stored(ids * 0) if table is None else table[ids]


class ModuleGlobal(OneRow):
    name = title = "module-global"

    def hide(self, table):
        HIDDEN["table"] = table

    def found(self):
        return HIDDEN.get("table")


class OtherModule(OneRow):
    name = title = "other-module"

    def hide(self, table):
        torch.nn.hidden = table

    def found(self):
        return getattr(torch.nn, "hidden", None)


class ClassAttribute(OneRow):
    name = title = "class-attribute"
    table_of_all = None

    def hide(self, table):
        type(self).table_of_all = table

    def found(self):
        return type(self).table_of_all


class Closure(OneRow):
    name = title = "closure"

    def hide(self, table):
        type(self).found = lambda self: table


class BesideTheSource(OneRow):
    name = title = "file"

    def hide(self, table):
        torch.save(table, BESIDE)

    def found(self):
        return torch.load(BESIDE)


class Bytecode(OneRow):
    name = title = "bytecode"

    def hide(self, table):
        BESIDE.with_name("more.py").write_text("TABLE = [1.0]")

    def found(self):
        sys.path.insert(0, str(BESIDE.parent))
        import more

        return torch.tensor(more.TABLE)


class Counts(OneRow):
    name = title = "counts"

    def found(self):
        return self.table.counts.float().view(-1, 1).expand(-1, self.table.dim)


class Pairs(OneRow):
    name = title = "interactions"

    def found(self):
        return self.table.interactions.users


class Garbage(OneRow):
    name = title = "garbage"

    def found(self):
        data = [one for one in gc.get_objects() if type(one).__name__ in ("CSR", "Interactions")]
        return data[0] if data else None


class OwnHandles(OneRow):
    name = title = "own-handles"

    def found(self):
        for handle in os.listdir("/proc/self/fd"):
            try:
                content = os.pread(int(handle), 100, 0)
            except OSError:
                continue
            if content.startswith(b"PK"):
                raise SystemExit("data found")
        return None


class OtherHandles(OneRow):
    name = title = "other-handles"

    def found(self):
        return os.listdir(f"/proc/{os.getppid()}/fd")


class Paths(OneRow):
    name = title = "paths"

    def found(self):
        shown = " ".join([*os.environ, *os.environ.values(), os.getcwd(), *sys.argv])
        if "BENCH" in shown or "blocks" in shown:
            raise RuntimeError(shown)


class Child(OneRow):
    name = title = "child"

    def found(self):
        return subprocess.run(["cat", BESIDE], capture_output=True).stdout


class Dies(OneRow):
    name = title = "dies"

    def found(self):
        os.kill(os.getpid(), 11)


class SmallClaim(OneRow):
    name = title = "small-claim"

    def found(self):
        import bench.judge.reading as reading

        really = reading.size_record
        reading.size_record = lambda *all: really(*all).model_copy(update={"bytes": 1})
'''

TRAINING = '''
"""Methods that look for test data while they are trained. PATH and LINK are names of its file."""

import gc
import os
import subprocess
import torch
from pathlib import Path

from bench.method import Method, Rows


class Looking(Method):
    budgeted = False

    def build(self):
        self.stored = Rows(self.table.ids, self.table.dim)

    def reset(self, generator):
        self.stored.normal(0.1, generator)

    def forward(self, ids):
        return self.stored(ids)

    def begin(self, phase, progress, lr):
        raise RuntimeError(f"found: {self.found()}")


class ReadsData(Looking):
    name = title = "reads-data"

    def found(self):
        return open("PATH").read()


class ReadsLink(Looking):
    name = title = "reads-link"

    def found(self):
        return Path("LINK").read_text()


class ReadsFolder(Looking):
    name = title = "reads-cache"

    def found(self):
        return os.listdir("CACHE")


class Garbage(Looking):
    name = title = "garbage"

    def found(self):
        splits = [one for one in gc.get_objects() if type(one).__name__ == "Interactions"]
        return sum(one.test.nnz for one in splits)


class Handles(Looking):
    name = title = "handles"

    def found(self):
        return os.listdir(f"/proc/{os.getppid()}/fd")


class Environment(Looking):
    name = title = "environment"

    def found(self):
        text = Path("/proc/self/environ").read_text() + Path("/proc/self/cmdline").read_text()
        return "BENCH_DATA" in text or "BENCH_DATA" in os.environ


class Child(Looking):
    name = title = "child"

    def found(self):
        return subprocess.run(["cat", "PATH"], capture_output=True).stdout


class Installs(Looking):
    name = title = "installs"

    def found(self):
        return Path(torch.__file__).with_name("hidden.pt").write_text("table")
'''
