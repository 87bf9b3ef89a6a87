"""The guest's machine: two sockets, and a third node without CPUs, farther than both. The nodes are
small, so that filling one takes seconds."""

MEMORY_MIB = [768, 512, 512]
LATENCY = {(0, 0): 80, (0, 1): 140, (0, 2): 250, (1, 0): 140, (1, 1): 80, (1, 2): 250}
BANDWIDTH = {80: "100G", 140: "50G", 250: "25G"}
# On a busy machine the emulated timer may tick too late for the kernel's check of it, which panics.
KERNEL_LINE = "console=ttyS0 quiet panic=1 no_timer_check"
DISTANCES = {(0, 1): 21, (0, 2): 28, (1, 2): 38}
# The guest's clock: the host's, on a thread for each CPU, or what the guest itself has executed,
# 1 ns for an instruction of any of its CPUs. While all of them wait, it jumps to the next event.
CLOCK_OF_HOST = ["-accel", "tcg,thread=multi"]
CLOCK_OF_WORK = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]


def command(packages, initrd, log, results, more=(), clock=tuple(CLOCK_OF_HOST)):
    """QEMU's command line; the console goes to `log`, what the guest's program says to `results`."""
    libraries = f"{packages}/usr/lib/x86_64-linux-gnu:{packages}/lib/x86_64-linux-gnu"
    kernel = next((packages / "boot").glob("vmlinuz-*"))
    words = ["env", f"LD_LIBRARY_PATH={libraries}", str(packages / "usr/bin/qemu-system-x86_64")]
    words += ["-L", str(packages / "usr/share/qemu"), "-L", str(packages / "usr/share/seabios")]
    words += [*clock, "-cpu", "max", "-machine", "q35,hmat=on", "-m", f"{sum(MEMORY_MIB)}M"]
    words += ["-smp", "4,sockets=2,cores=2", "-display", "none", "-monitor", "none"]
    words += ["-no-reboot", "-nic", "none", "-vga", "none"]
    words += ["-serial", f"file:{log}", "-serial", f"file:{results}"]
    for node, size in enumerate(MEMORY_MIB):
        words += ["-object", f"memory-backend-ram,id=m{node},size={size}M"]
    words += ["-numa", "node,nodeid=0,memdev=m0,cpus=0-1", "-numa", "node,nodeid=1,memdev=m1,cpus=2-3"]
    words += ["-numa", "node,nodeid=2,memdev=m2,initiator=0"]
    for (a, b), distance in DISTANCES.items():
        words += ["-numa", f"dist,src={a},dst={b},val={distance}"]
    for (a, b), ns in LATENCY.items():
        both = f"hmat-lb,initiator={a},target={b},hierarchy=memory"
        words += ["-numa", f"{both},data-type=access-latency,latency={ns}"]
        words += ["-numa", f"{both},data-type=access-bandwidth,bandwidth={BANDWIDTH[ns]}"]
    words += ["-kernel", str(kernel), "-initrd", str(initrd)]
    return [*words, *more, "-append", KERNEL_LINE]
