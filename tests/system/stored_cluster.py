"""Clusters whose sessions are in a store; any process may be killed and started
again at the address that it had."""

import processes


class StoredCluster(processes.Cluster):
    """`store` has the flags of the coordinators' store; without it one
    coordinator has a state folder."""

    def __init__(self, store=None, **options):
        self._store = store
        super().__init__(**options)

    def _start_coordinator(self, name):
        self.start_coordinator(name)

    def start_coordinator(self, name="coordinator"):
        self.begin_coordinator(name)
        self.address(name)  # it listens

    def begin_coordinator(self, name):
        pools = ["--target", ",".join(map(self.address, self.targets))]
        if self.drafts:
            pools += ["--draft", ",".join(map(self.address, self.drafts))]
        store = self._store or ["--state-dir", self.folder / "state"]
        self.start(name, "tandem-coordinator", *pools, "--listen",
                   f"unix:{self.folder}/{name}", *store,
                   *self._flags.get("coordinator", ()))

    def kill(self, name):
        process = self.processes[name]
        process.kill()
        process.wait()

    def kill_coordinator(self):
        self.kill("coordinator")

    def addresses(self):
        """Of all coordinators."""
        return [f"unix:{self.folder}/{name}" for name in self.coordinators]


class CostCluster(StoredCluster):
    """Workers without weights, whose passes take `pass_ms`, at drafters
    `draft_pass_ms`: turns last long and cost nothing."""

    def __init__(self, store=None, pass_ms=20, draft_pass_ms=2, **options):
        self._pass_us = {"target": pass_ms * 1000,
                         "draft": draft_pass_ms * 1000}
        options.setdefault("drafts", 0)
        super().__init__(store, **options)

    def worker(self, role, model):
        return ["tandem-cost-worker", "--role", role, "--vocabulary", model,
                "--step-us", f"{self._pass_us[role]},0"]
