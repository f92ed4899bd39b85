"""Bodies that come too slowly end like connections that broke off; whoever is merely slow is waited for."""

import gevent
import gevent.socket
import pytest
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader

from webapp import serving
from webapp.serving import _Body

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pair():
    ours, theirs = gevent.socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def body(connection, length):
    return _Body(Body(LengthReader(SocketUnreader(connection), length)), connection)


@pytest.mark.parametrize("sizes", [(None,), (-1,), (100_000, 200_000), (1,) * 10, (0, 300_000)])
def test_a_body_is_read_to_its_end_or_as_far_as_it_is_asked_for(pair, sizes):
    ours, theirs = pair
    content = bytes(range(250)) * 1_000
    sender = gevent.spawn(theirs.sendall, content)
    read = body(ours, len(content))
    got = b"".join(read.read() if size is None else read.read(size) for size in sizes)
    wanted = len(content) if None in sizes or -1 in sizes else sum(sizes)
    assert got == content[:wanted]
    assert ours.gettimeout() is None, "What is sent later may wait."
    sender.kill()


def test_silence_ends_a_body(pair, monkeypatch):
    monkeypatch.setattr(serving, "QUIET", 0.01)
    ours, theirs = pair
    theirs.sendall(b"a")
    with pytest.raises(ConnectionError):
        body(ours, 1000).read()
    assert ours.gettimeout() is None


@pytest.mark.parametrize("size", [1, 10, None])
def test_single_bytes_now_and_then_end_a_body_as_well(pair, monkeypatch, size):
    monkeypatch.setattr(serving, "PATIENCE", 0.05)
    ours, theirs = pair

    def drip():
        while True:
            theirs.sendall(b"a")
            gevent.sleep(0.01)

    sender = gevent.spawn(drip)
    read = body(ours, 10**9)
    with pytest.raises(ConnectionError, match="too slowly"):
        while True:
            read.read(size)
    sender.kill()


def test_who_sends_enough_is_waited_for_beyond_that(pair, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(serving, "monotonic", lambda: clock[0])
    ours, theirs = pair
    read = body(ours, 10**9)
    for _ in range(20):  # 64 KB a minute, for twenty: a slow line, and all of 60 s are over.
        theirs.sendall(bytes(2**16))
        assert len(read.read(2**16)) == 2**16
        clock[0] += 60
