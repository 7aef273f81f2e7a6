"""When a frame is made: the rules of schedule.py, with time as a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guest_agent.schedule import HEARTBEAT_S, IDR_EVERY_S, IN_FLIGHT_S, REFINE_AFTER_S, Action, Schedule

FRAME_S = 1 / 60


def started(now: float = 0.0) -> Schedule:
    """Watched, its first keyframe made and taken."""
    schedule = Schedule()
    schedule.watch(True)
    assert schedule.next(now) == (Action.CAPTURE, True)
    schedule.did(Action.CAPTURE, True, now)
    schedule.taken()
    return schedule


def run(schedule: Schedule, start: float, end: float) -> list[tuple[float, Action, bool]]:
    """Follow the schedule's own deadlines; every frame is taken at once."""
    made = []
    now = start
    for _ in range(10_000):
        due = schedule.next(now)
        if due is not None:
            schedule.did(*due, now)
            schedule.taken()
            made.append((now, *due))
            continue
        wait = schedule.timeout_s(now)
        if wait is None or now + wait > end:
            return made
        # A float may fall just short of its own deadline.
        now += max(wait, 1e-6)
    raise AssertionError("the schedule spins")


def test_nobody_watches() -> None:
    schedule = Schedule()
    schedule.damage()
    schedule.want_key()
    assert schedule.next(100.0) is None
    assert schedule.timeout_s(100.0) is None


def test_the_last_viewer_leaves_and_another_comes() -> None:
    schedule = started()
    schedule.watch(False)
    schedule.damage()
    assert schedule.next(5.0) is None
    schedule.watch(True)
    assert schedule.next(5.0) == (Action.CAPTURE, True)


def test_a_new_audience_does_not_wait_for_the_old_ones_keyframe_interval() -> None:
    schedule = started(0.0)
    schedule.watch(False)
    schedule.watch(True)
    assert schedule.next(0.001) == (Action.CAPTURE, True)


def test_damage_is_captured_at_once_after_a_pause_and_at_the_slot_in_motion() -> None:
    schedule = started(0.0)
    schedule.damage()
    assert schedule.next(FRAME_S / 2) is None
    assert abs((schedule.timeout_s(FRAME_S / 2) or 0) - FRAME_S / 2) < 1e-9
    assert schedule.next(FRAME_S) == (Action.CAPTURE, False)
    schedule.did(Action.CAPTURE, False, FRAME_S)
    schedule.taken()
    schedule.damage()
    assert schedule.next(5.0) == (Action.CAPTURE, False)


def test_damage_just_after_a_frame_that_showed_nothing_new_does_not_wait_for_a_slot() -> None:
    schedule = started(0.0)
    schedule.did(Action.REFINE, False, REFINE_AFTER_S[0])
    schedule.taken()
    now = REFINE_AFTER_S[0] + FRAME_S / 4
    schedule.damage()
    assert schedule.timeout_s(now) == 0.0
    assert schedule.next(now) == (Action.CAPTURE, False)
    schedule.did(Action.CAPTURE, False, now)
    schedule.taken()
    schedule.damage()
    assert schedule.next(now + FRAME_S / 2) is None


def test_one_frame_in_flight() -> None:
    schedule = started(0.0)
    schedule.damage()
    schedule.did(Action.CAPTURE, False, 1.0)
    schedule.damage()
    schedule.want_key()
    assert schedule.next(1.5) is None
    assert schedule.timeout_s(1.5) == 1.0 + IN_FLIGHT_S - 1.5
    schedule.taken()
    assert schedule.next(1.5) == (Action.CAPTURE, True)


def test_a_frame_that_nobody_takes_is_given_up() -> None:
    schedule = started(0.0)
    schedule.did(Action.CAPTURE, False, 1.0)
    schedule.damage()
    assert schedule.next(1.0 + IN_FLIGHT_S) == (Action.CAPTURE, False)
    assert schedule.expired == 1


def test_refinements_then_heartbeats() -> None:
    made = run(started(0.0), 0.0, 10.0)
    refined = [at for at, action, _ in made if action is Action.REFINE]
    beats = [at for at, action, _ in made if action is Action.HEARTBEAT]
    assert [round(at, 4) for at in refined] == [round(after, 4) for after in REFINE_AFTER_S]
    assert len(beats) == int((10.0 - REFINE_AFTER_S[-1]) / HEARTBEAT_S)
    assert not any(key for _, _, key in made)


def test_new_damage_aborts_the_refinements() -> None:
    schedule = started(0.0)
    schedule.damage()
    assert schedule.next(REFINE_AFTER_S[0]) == (Action.CAPTURE, False)
    schedule.did(Action.CAPTURE, False, REFINE_AFTER_S[0])
    schedule.taken()
    made = run(schedule, REFINE_AFTER_S[0], REFINE_AFTER_S[0] * 1.99)
    assert made == []


def test_keyframes_on_request_are_coalesced() -> None:
    schedule = started(0.0)
    schedule.want_key()
    schedule.want_key()
    made = [m for m in run(schedule, 0.1, 10.0) if m[2]]
    assert [round(at, 3) for at, _, _ in made] == [IDR_EVERY_S]
    schedule.want_key()
    assert schedule.next(10.0) == (Action.REFINE, True)


def test_a_keyframe_is_refined_again() -> None:
    schedule = started(0.0)
    run(schedule, 0.0, 5.0)
    schedule.want_key()
    schedule.did(Action.REFINE, True, 5.0)
    schedule.taken()
    made = run(schedule, 5.0, 5.0 + REFINE_AFTER_S[-1] + 0.01)
    assert [action for _, action, _ in made] == [Action.REFINE] * len(REFINE_AFTER_S)


def test_damage_that_vanished_makes_no_frame() -> None:
    schedule = started(0.0)
    schedule.damage()
    schedule.nothing_changed()
    assert schedule.next(0.05) is None
    assert schedule.timeout_s(0.05) == REFINE_AFTER_S[0] - 0.05


EVENTS = st.lists(
    st.tuples(st.floats(0.0, 0.4), st.sampled_from(["damage", "key", "taken", "watch", "leave", "empty", "nothing"])),
    max_size=120,
)


@given(EVENTS)
def test_rates_hold_whatever_happens(events: list[tuple[float, str]]) -> None:
    schedule = Schedule()
    now = 1000.0
    frames: list[float] = []
    shown: list[float] = []
    keys: list[float] = []
    pending = False
    for wait, event in events:
        now += wait
        match event:
            case "damage":
                schedule.damage()
            case "key":
                schedule.want_key()
            case "taken":
                schedule.taken()
                pending = False
            case "watch":
                schedule.watch(True)
            case "leave":
                schedule.watch(False)
                frames, shown, keys, pending = [], [], [], False
            case "empty":
                schedule.nothing_changed()
            case _:
                pass
        due = schedule.next(now)
        if due is None:
            timeout = schedule.timeout_s(now)
            assert (timeout is None) is not schedule.watched
            # Waiting that long makes it due, or there is a frame in flight to give up.
            if timeout is not None:
                assert timeout <= max(HEARTBEAT_S, IN_FLIGHT_S)
            continue
        action, key = due
        assert schedule.watched
        assert not pending or now >= frames[-1] + IN_FLIGHT_S
        assert not shown or now >= shown[-1] + FRAME_S or action is not Action.CAPTURE
        assert not frames or now >= frames[-1] + FRAME_S or action is Action.CAPTURE
        if key:
            assert not keys or now >= keys[-1] + IDR_EVERY_S
            keys.append(now)
        schedule.did(action, key, now)
        frames.append(now)
        if action is Action.CAPTURE:
            shown.append(now)
        pending = True


def test_a_repeat_on_request_is_no_keyframe_and_comes_at_once() -> None:
    schedule = Schedule()
    schedule.watch(True)
    schedule.did(Action.CAPTURE, True, 0.0)
    schedule.taken()
    for after_s in REFINE_AFTER_S:
        schedule.did(Action.REFINE, False, after_s)
        schedule.taken()
    assert schedule.next(1.0) is None
    schedule.want_repeat()
    assert schedule.timeout_s(1.0) == 0.0
    assert schedule.next(1.0) == (Action.HEARTBEAT, False)
    schedule.did(Action.HEARTBEAT, False, 1.0)
    schedule.taken()
    assert schedule.next(1.1) is None


def test_what_the_rate_cut_is_refined_until_it_is_sharp() -> None:
    schedule = Schedule()
    schedule.watch(True)
    schedule.did(Action.CAPTURE, True, 0.0, cut=True)
    schedule.taken()
    now, refined = 0.0, 0
    while now < 5.0:
        wait_s = schedule.timeout_s(now)
        assert wait_s is not None
        now += max(wait_s, 0.001)
        due = schedule.next(now)
        if due is None:
            continue
        if due[0] is Action.HEARTBEAT:
            break
        refined += 1
        schedule.did(due[0], False, now, cut=refined < 20)
        schedule.taken()
    assert refined == 20
    assert 0.8 + 17 * 0.1 <= now - HEARTBEAT_S < 0.8 + 19 * 0.1
