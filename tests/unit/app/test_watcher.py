"""The policy in force changes when the file does, and never for the worse."""

from tracekeeper_sidecar.control.source import Instruction
from tracekeeper_sidecar.control.watcher import Watcher
from tracekeeper_sidecar.errors import LogUnavailable, PolicyError
from tracekeeper_spec.config import ConfigSpec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets
from waiting import turns


class ScriptedSource:
    """A source that says what the test wants."""

    file = "policy.json"

    def __init__(self) -> None:
        self.says: Instruction | Exception | None = None
        self.version = 0

    def set(self, says: Instruction | Exception | None) -> None:
        self.says, self.version = says, self.version + 1

    def fingerprint(self) -> object:
        return self.version

    def read(self) -> Instruction | None:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class Clock:
    def now(self) -> float:
        return 1.0

    def monotonic(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        await turns()


def instruction(revision: int) -> Instruction:
    return Instruction("shop/agents", revision, resolve(ConfigSpec()), DocumentSecrets({}))


def watcher(source: ScriptedSource) -> tuple[Watcher, list[int]]:
    applied: list[int] = []

    async def apply(instruction: Instruction) -> None:
        applied.append(instruction.revision)

    return Watcher(source, apply, Clock(), 1.0), applied


def in_force(watch: Watcher) -> Instruction | None:
    """Read anew each time: an assertion about the attribute itself would hold for mypy ever after."""
    return watch.state.instruction


async def test_each_change_is_applied_once() -> None:
    source = ScriptedSource()
    watch, applied = watcher(source)
    source.set(instruction(1))
    await watch.look()
    await watch.look()
    source.set(instruction(2))
    await watch.look()
    assert applied == [1, 2]


async def test_a_broken_policy_leaves_the_last_good_one_in_force_and_shows_its_faults() -> None:
    source = ScriptedSource()
    watch, applied = watcher(source)
    source.set(instruction(1))
    await watch.look()
    source.set(PolicyError("policy.json", ["spec.backends: wrong", "spec.suspend: wrong"]))
    await watch.look()
    assert watch.state.instruction is not None
    assert watch.state.instruction.revision == 1
    assert list(watch.state.faults) == ["spec.backends: wrong", "spec.suspend: wrong"]
    source.set(instruction(2))
    await watch.look()
    assert (applied, watch.state.faults) == ([1, 2], ())


async def test_an_older_revision_is_ignored() -> None:
    source = ScriptedSource()
    watch, applied = watcher(source)
    source.set(instruction(5))
    await watch.look()
    source.set(instruction(4))
    await watch.look()
    assert applied == [5]


async def test_a_policy_that_goes_away_stays_in_force() -> None:
    source = ScriptedSource()
    watch, applied = watcher(source)
    source.set(instruction(5))
    await watch.look()
    source.set(None)
    await watch.look()
    assert watch.state.instruction is not None
    assert applied == [5]


async def test_an_unreadable_file_is_a_fault_with_its_cause_and_is_looked_at_again() -> None:
    source = ScriptedSource()
    watch, _ = watcher(source)
    source.set(PermissionError(13, "Permission denied"))
    await watch.look()
    assert watch.state.faults == ("policy.json: cannot be read: Permission denied",)
    source.says = instruction(3)  # Mended without a trace in the file: a mode, say.
    await watch.look()
    assert watch.state.instruction is not None


async def test_a_policy_that_cannot_be_put_in_force_now_is_tried_again() -> None:
    source = ScriptedSource()
    attempts: list[int] = []

    async def apply(instruction: Instruction) -> None:
        attempts.append(instruction.revision)
        if len(attempts) == 1:
            raise LogUnavailable("the disk is read-only")

    watch = Watcher(source, apply, Clock(), 1.0)
    source.set(instruction(1))
    await watch.look()
    assert in_force(watch) is None
    assert "the disk is read-only" in watch.state.faults[0]
    await watch.look()
    assert in_force(watch) is not None
    assert (attempts, watch.state.faults) == ([1, 1], ())
