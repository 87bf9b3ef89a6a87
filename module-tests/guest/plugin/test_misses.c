/* Drives the plugin without QEMU: a made-up interface below it, accesses of known outcome above.
 * Prints what is wrong and ends with status 1, or ends with 0. Compiled together with misses.c. */
#include "misses.c"

static tb_trans_cb translation;
static mem_cb access_cb;
static exec_cb mark_cb;
static void *mark_data;
static uint64_t insn_at, phys_shift;
static const uint8_t mark[8] = {0x0f, 0x1f, 0x84, 0x00, 1, 'M', 'U', 'N'};

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb)
{
    (void)id;
    translation = cb;
}

void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, exec_cb cb,
                                            enum qemu_plugin_cb_flags flags, void *data)
{
    (void)insn, (void)flags;
    mark_cb = cb;
    mark_data = data;
}

void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_cb cb,
                                      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw,
                                      void *data)
{
    (void)insn, (void)flags, (void)rw, (void)data;
    access_cb = cb;
}

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb)
{
    (void)tb;
    return 1;
}

struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index)
{
    (void)tb, (void)index;
    return NULL;
}

uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn)
{
    (void)insn;
    return insn_at;
}

size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *dest, size_t len)
{
    (void)insn;
    memcpy(dest, mark, len < sizeof mark ? len : sizeof mark);
    return len < sizeof mark ? len : sizeof mark;
}

static uint64_t physical;

struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t info, uint64_t vaddr)
{
    (void)info;
    physical = vaddr + phys_shift;
    return (struct qemu_plugin_hwaddr *)&physical;
}

bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address)
{
    (void)address;
    return false;
}

uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *address)
{
    return *(const uint64_t *)address;
}

static int wrong;

static void expect(const char *what, uint64_t is, uint64_t should)
{
    if (is != should) {
        printf("%s: %llu, not %llu\n", what, (unsigned long long)is, (unsigned long long)should);
        wrong = 1;
    }
}

static void walk(uint64_t from, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++)
        access_cb(1, 0, from + i * 64ull, NULL);
}

int main(void)
{
    char file[] = "out=/dev/null", cpu[] = "cpu=1", cache[] = "cache=64", ends[] = "nodes=65536:131072";
    char *words[] = {file, cpu, cache, ends};
    expect("install", (uint64_t)qemu_plugin_install(1, NULL, 4, words), 0);

    insn_at = KERNEL_BIT;
    translation(1, NULL);
    expect("callbacks for the kernel's instructions", access_cb != NULL, 0);
    insn_at = 0x1000;
    translation(1, NULL);
    expect("the mark's id", (uintptr_t)mark_data, 1);

    walk(0, 1024); /* 64 KiB: fills the cache */
    expect("cold misses near", misses[0], 1024);
    walk(0, 1024);
    expect("hits", accesses - misses[0], 1024);
    access_cb(0, 0, 1 << 20, NULL);
    expect("another CPU's accesses", accesses, 2048);
    walk(65536, 64); /* one more way for each set: the oldest lines leave */
    expect("cold misses far", misses[1], 64);
    walk(64 * 64, 1024 - 64);
    expect("what was used since stays", misses[0], 1024);
    walk(0, 64);
    expect("what was used longest ago is gone", misses[0], 1024 + 64);

    uint64_t sum = 0;
    for (unsigned at = 0; at < PAGES; at++)
        sum += pages[at].count;
    expect("misses by page", sum, misses[0] + misses[1]);
    mark_cb(0, mark_data);
    expect("a window begins anew", accesses + misses[0] + misses[1], 0);
    return wrong;
}
