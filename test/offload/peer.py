"""Both ends of the transfers that transfer.test.ts lets pass through a director.

    peer.py server ADDRESS PORT ...                    TCP and UDP at each of these; says `ready`
    peer.py tcp ADDRESS PORT BYTES                     sends as many bytes and gets as many
    peer.py udp ADDRESS PORT ROUNDS SEGMENTS SIZE      sends and gets bursts of datagrams that the kernel cuts (UDP_SEGMENT)

Both sides know what must come: a client fails, and says why, when anything else does.
"""
import hashlib
import socket
import struct
import sys
import threading

UDP_SEGMENT = 103
HEADER = struct.Struct("!II")  # which datagram of how many
TIMEOUT = 10


def data_of(seed, length):
    return hashlib.shake_256(seed).digest(length)


def read(connection, length):
    parts = []
    while length > 0:
        part = connection.recv(min(length, 1 << 20))
        if not part:
            raise EOFError("the connection ended too soon")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def answer(connection):
    with connection:
        (length,) = struct.unpack("!Q", read(connection, 8))
        digest = hashlib.sha256(read(connection, length)).digest()
        connection.sendall(digest + data_of(digest, length))


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve_tcp(address, port):
    listener = socket.create_server((address, port), family=family_of(address))
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def burst_of(seed, segments, size):
    body = data_of(seed, segments * (size - HEADER.size))
    step = size - HEADER.size
    return b"".join(HEADER.pack(i, segments) + body[i * step : (i + 1) * step] for i in range(segments))


def gather(endpoint):
    """The datagrams of one burst, put together, and who sent them."""
    parts = {}
    while True:
        datagram, sender = endpoint.recvfrom(65536)
        i, count = HEADER.unpack_from(datagram)
        parts[i] = datagram
        if len(parts) == count:
            return b"".join(parts[i] for i in range(count)), len(parts[0]), sender


def serve_udp(address, port):
    endpoint = socket.socket(family_of(address), socket.SOCK_DGRAM)
    endpoint.bind((address, port))
    while True:
        burst, size, sender = gather(endpoint)
        endpoint.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
        endpoint.sendto(burst_of(hashlib.sha256(burst).digest(), len(burst) // size, size), sender)


def serve(*endpoints):
    for address, port in zip(endpoints[::2], map(int, endpoints[1::2])):
        for serve_one in (serve_tcp, serve_udp):
            threading.Thread(target=serve_one, args=(address, port)).start()
    print("ready", flush=True)


def tcp(address, port, length):
    sent = data_of(b"client", length)
    with socket.create_connection((address, port), TIMEOUT) as connection:
        connection.sendall(struct.pack("!Q", length) + sent)
        digest = read(connection, 32)
        if digest != hashlib.sha256(sent).digest():
            sys.exit("the server got something else")
        if read(connection, length) != data_of(digest, length):
            sys.exit("the server sent something else")


def udp(address, port, rounds, segments, size):
    endpoint = socket.socket(family_of(address), socket.SOCK_DGRAM)
    endpoint.settimeout(TIMEOUT)
    endpoint.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    endpoint.connect((address, port))
    for i in range(rounds):
        burst = burst_of(str(i).encode(), segments, size)
        endpoint.send(burst)
        got, got_size, _ = gather(endpoint)
        if got_size != size or got != burst_of(hashlib.sha256(burst).digest(), segments, size):
            sys.exit("the server sent something else")


command, *arguments = sys.argv[1:]
if command == "server":
    serve(*arguments)
else:
    {"tcp": tcp, "udp": udp}[command](arguments[0], *map(int, arguments[1:]))
