"""Where a server's values really lie, found out from outside of it.

Each value begins with a nonce of 32 random bytes and a tag of 8. To judge, a new tag is written
into each value by SETRANGE, in place; nonce and new tag side by side then stand in the server's
memory once only: in the live value (a freed copy has an old tag, the query buffer no nonce). The
server's memory is read from /proc/<pid>/mem, its bytes are compared with those that were stored,
and move_pages names the node of every OS page that they touch.
"""

import array
import ctypes
import os

NONCE, TAG = 32, 8
HEAD = NONCE + TAG
PAGE = os.sysconf("SC_PAGE_SIZE")
MOVE_PAGES = 279  # the system call's number on amd64
CHUNK = 4 << 20
PRESENT = 1 << 63

libc = ctypes.CDLL(None, use_errno=True)


def present_runs(pagemap, start, end):
    """The parts of a range whose OS pages exist. Others are not read: reading makes them."""
    pagemap.seek(start // PAGE * 8)
    entries = array.array("Q", pagemap.read((end - start) // PAGE * 8))
    begin = None
    for index, entry in enumerate(entries):
        if entry & PRESENT:
            begin = index if begin is None else begin
        elif begin is not None:
            yield start + begin * PAGE, start + index * PAGE
            begin = None
    if begin is not None:
        yield start + begin * PAGE, start + len(entries) * PAGE


def writable(pid):
    """The private, writable ranges without a file: where values can be."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            words = line.split(None, 5)
            name = words[5].strip() if len(words) > 5 else ""
            if words[1][:2] == "rw" and words[1][3] == "p" and not name.startswith("/"):
                start, _, end = words[0].partition("-")
                yield int(start, 16), int(end, 16)


def find(pid, tag, nonces):
    """The addresses of each nonce that is followed by the tag."""
    found = {}
    with open(f"/proc/{pid}/mem", "rb", 0) as memory, open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for low, high in writable(pid):
            for start, end in present_runs(pagemap, low, high):
                for at in range(start, end, CHUNK):
                    # Each chunk reaches back by a head, so that none is cut in two.
                    begin = max(start, at - HEAD + 1)
                    memory.seek(begin)
                    data = memory.read(min(at + CHUNK, end) - begin)
                    place = data.find(tag)
                    while place >= 0:
                        nonce = data[place - NONCE:place] if place >= NONCE else b""
                        if nonce in nonces:
                            found.setdefault(nonce, set()).add(begin + place - NONCE)
                        place = data.find(tag, place + 1)
    return found


def nodes_of(pid, pages):
    """The node of each OS page, by its address; a negative errno where there is none."""
    count = len(pages)
    addresses = (ctypes.c_void_p * count)(*pages)
    status = (ctypes.c_int * count)()
    if libc.syscall(MOVE_PAGES, pid, ctypes.c_ulong(count), addresses, None, status, 0) != 0:
        raise OSError(ctypes.get_errno(), "move_pages")
    return list(status)


def bytes_by_node(pid, spans):
    """For each (start, length) how many of its bytes lie on which node."""
    pages = sorted({p for start, length in spans for p in range(start - start % PAGE, start + length, PAGE)})
    nodes = {}
    for at in range(0, len(pages), 4096):
        some = pages[at:at + 4096]
        nodes.update(zip(some, nodes_of(pid, some)))
    answers = []
    for start, length in spans:
        by_node = {}
        for page in range(start - start % PAGE, start + length, PAGE):
            piece = min(page + PAGE, start + length) - max(page, start)
            by_node[nodes[page]] = by_node.get(nodes[page], 0) + piece
        answers.append(by_node)
    return answers


def read(pid, start, length):
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(start)
        return memory.read(length)


def write(pid, start, data):
    """Changes bytes of the process from outside."""
    with open(f"/proc/{pid}/mem", "r+b", 0) as memory:
        memory.seek(start)
        memory.write(data)
