"""The far node's memory is taken off under the server, as far as the kernel can: of some blocks of
the guest's memory it needs a part itself. What lay there it moves to other nodes, whatever policy
it was asked for."""

import pathlib

import kinds
import nodes
from box import Skip, check, pairs, test, wait_for

MIB = 1 << 20
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"


def take_off(box, node):
    """Takes as much of a node off as the kernel lets go; the blocks."""
    taken = []
    for block in sorted((nodes.SYS / f"node{node}").glob("memory[0-9]*")):
        state = pathlib.Path("/sys/devices/system/memory", block.name, "state")
        try:
            state.write_text("offline")
        except OSError:
            continue  # the kernel's own data lies there
        taken.append(state)
        box.undo.append(lambda state=state: state.read_text() == "online\n" or state.write_text("online"))
    if not taken:
        raise Skip("the kernel lets go of no block of the far node")
    return taken


def fill_up(box, server):
    """Fills the far node with values, of which some can be judged; how many others."""
    values, others = [], 0
    while box.far.free() > 40 * MIB:
        values += server.fill(6, 60_000, node=box.far.id, prefix=f"value{others}")
        server.client.all([
            ("NUMA.SETRANGE", f"other:{others + at}", 2 * MIB, "x", "NODE", box.far.id) for at in range(10)
        ])
        others += 10
    return values, others


@test("offline: the far node loses memory; nothing is lost, it is told, and comes back", guest=True)
def offline(box):
    # With them the kernel takes a reserve anew when memory goes, ten times that of the guest.
    box.set(HUGE_PAGES, "never")
    server = box.start("numa-native-keys", "observe", before=["taskset", hex(1 << box.near.cpus[0])])
    # First: what is moved far takes arenas and regions, for which a node that is full has no room.
    fill = kinds.Fill(server, kinds.NATIVE + kinds.NUMA)
    keys = fill.keys()
    server.client.all([("NUMAMIGRATE", "KEY", key, box.far.id) for key in keys])
    wait_for("slices to end", lambda: pairs(server.call("NUMA", "STATUS"))["values_under_way"] == 0)
    values, others = fill_up(box, server)
    check(server.number(f"node{box.far.id}_lost_bytes") == 0, server.info())
    blocks = take_off(box, box.far.id)

    lost = server.number(f"node{box.far.id}_lost_bytes")
    check(lost >= 64 * MIB * len(blocks), f"{len(blocks)} blocks are gone, the module says {lost} bytes")
    doctor = " ".join(line.decode() for line in server.call("NUMA", "DOCTOR"))
    check(f"{lost} bytes of node{box.far.id}" in doctor, doctor)

    server.call("NUMACONFIG", "SET", "enabled", "no")
    physical = server.judged(values)
    server.agrees(values, physical, spilled=True)
    away = sum(size for by_node in physical for node, size in by_node.items() if node != box.far.id)
    check(away > 0, f"{len(blocks)} blocks went, and no byte of a value with them")
    fill.places()  # every element is there, and is what was stored
    server.call("NUMACONFIG", "SET", "enabled", "yes")
    wait_for("drift to be counted", lambda: server.number("drift_bytes") > 0)

    # A node without room is no place to go, and to ask for it harms nobody.
    near = server.fill(20, 60_000, prefix="more")
    reply = pairs(server.call("NUMAMIGRATE", "KEYS", box.far.id, *[value.key for value in near]))
    check(reply["moved"] + reply["failed"] == len(near), reply)
    check(server.call("DBSIZE") == len(values) + others + len(near) + len(keys), "keys were lost")

    for state in blocks:
        state.write_text("online")
    check(server.number(f"node{box.far.id}_lost_bytes") == 0, "the memory is back")

    def returned():
        return pairs(server.call("NUMA", "VERIFY", "COUNT", 5000))["mismatched"] == 0

    wait_for("what lay elsewhere to come back", returned)
    server.call("NUMACONFIG", "SET", "enabled", "no")
    server.lies_on(values, box.far.id)
    check(server.number("panics_caught") == 0, server.info())
