import threading

from webapp.locks import Locks


def test_a_name_is_held_by_one_at_a_time_and_others_do_not_wait_for_it():
    locks, order = Locks(), []

    def wait():
        with locks.held("one"):
            order.append("second")

    with locks.held("one"):
        thread = threading.Thread(target=wait)
        thread.start()
        with locks.held("other"):
            order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_goes_when_nobody_needs_it():
    locks = Locks()
    with locks.held("one"):
        assert list(locks._locks) == ["one"]
    assert not locks._locks
