/* Counts, from outside of the guest, which node's memory a program in it has to wait for.
 *
 *     -plugin misses.so,out=<file>,cpu=<n>,cache=<KiB>,nodes=<end>:<end>:...
 *
 * Watched are the loads and stores that user-mode instructions of guest CPU <n> make. Each goes
 * through a model of one cache, <cache> KiB, 16 ways, lines of 64 bytes, least recently used out
 * first, by physical address; a miss counts for the node whose memory holds the line. Node i holds
 * the physical addresses below the i-th <end> and not below the one before.
 *
 * The guest says when a window ends: a user-mode program executes
 *
 *     0f 1f 84 00 <id> 4d 55 4e       nopl 0x4e554d<id>(%rax,%rax,1)
 *
 * and a line `window <id> accesses <n> misses <node 0> <node 1> ...` is appended to the file, after
 * a line `page <virtual page> <node> <misses>` for each page that missed if the id is odd. Counting
 * begins anew after each. The instruction does nothing else, on any machine.
 *
 * Invariant: accesses = hits + the sum of misses; a page's misses add up to its window's.
 * What the model leaves out: prefetching, write-back, other cores in the cache, the TLB, code.
 * Rejected: QEMU's own cache plugin, which knows neither nodes nor windows. */
#include "interface.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 16
#define LINE_BITS 6
#define PAGE_BITS 12
#define NODES_MAX 8
#define PAGES (1u << 20)
#define KERNEL_BIT (1ull << 63)

EXPORT int qemu_plugin_version = 4;

static FILE *out;
static unsigned watched_cpu = 1;
static uint64_t node_end[NODES_MAX];
static unsigned nodes;

/* Of each set the lines, most recently used first; 0 is no line. */
static uint64_t (*sets)[WAYS];
static uint64_t set_mask;

static uint64_t accesses, misses[NODES_MAX];

/* Misses by virtual page and node: a hash table with open addresses, key 0 free. */
static struct { uint64_t key; uint64_t count; } pages[PAGES];

static unsigned node_of(uint64_t physical)
{
    unsigned node = 0;
    while (node + 1 < nodes && physical >= node_end[node])
        node++;
    return node;
}

static void note_page(uint64_t vaddr, unsigned node)
{
    uint64_t key = (vaddr >> PAGE_BITS) * NODES_MAX + node + 1;
    uint64_t at = (key * 0x9e3779b97f4a7c15ull) >> 44;
    for (unsigned tries = 0; tries < 64; tries++, at++) {
        at &= PAGES - 1;
        if (pages[at].key == 0)
            pages[at].key = key;
        if (pages[at].key == key) {
            pages[at].count++;
            return;
        }
    }
}

/* Looks the line up and makes it the most recently used of its set; whether it was there. */
static bool touch(uint64_t line)
{
    uint64_t *set = sets[line & set_mask], tag = line + 1;
    unsigned way = 0;
    while (way < WAYS - 1 && set[way] != tag)
        way++;
    bool hit = set[way] == tag;
    memmove(set + 1, set, way * sizeof *set);
    set[0] = tag;
    return hit;
}

static void on_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *data)
{
    (void)data;
    if (vcpu != watched_cpu)
        return;
    struct qemu_plugin_hwaddr *address = qemu_plugin_get_hwaddr(info, vaddr);
    if (!address || qemu_plugin_hwaddr_is_io(address))
        return;
    uint64_t physical = qemu_plugin_hwaddr_phys_addr(address);
    accesses++;
    if (touch(physical >> LINE_BITS))
        return;
    unsigned node = node_of(physical);
    misses[node]++;
    note_page(vaddr, node);
}

static void write_pages(void)
{
    for (unsigned at = 0; at < PAGES; at++) {
        uint64_t key = pages[at].key - 1;
        if (pages[at].key)
            fprintf(out, "page %llx %u %llu\n", (unsigned long long)(key / NODES_MAX),
                    (unsigned)(key % NODES_MAX), (unsigned long long)pages[at].count);
    }
}

/* The watched CPU is idle while another one executes the mark: the guest sees to that. */
static void on_mark(unsigned vcpu, void *data)
{
    (void)vcpu;
    unsigned id = (unsigned)(uintptr_t)data;
    if (id & 1)
        write_pages();
    fprintf(out, "window %u accesses %llu misses", id, (unsigned long long)accesses);
    for (unsigned node = 0; node < nodes; node++)
        fprintf(out, " %llu", (unsigned long long)misses[node]);
    fputc('\n', out);
    fflush(out);
    accesses = 0;
    memset(misses, 0, sizeof misses);
    memset(pages, 0, sizeof pages);
}

static bool is_mark(const struct qemu_plugin_insn *insn, uintptr_t *id)
{
    uint8_t bytes[8];
    if (qemu_plugin_insn_data(insn, bytes, sizeof bytes) != sizeof bytes)
        return false;
    *id = bytes[4];
    return !memcmp(bytes, "\x0f\x1f\x84\x00", 4) && !memcmp(bytes + 5, "MUN", 3);
}

static void on_translation(qemu_plugin_id_t plugin, struct qemu_plugin_tb *tb)
{
    (void)plugin;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uintptr_t id;
        if (qemu_plugin_insn_vaddr(insn) & KERNEL_BIT)
            return;
        if (is_mark(insn, &id))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS,
                                                   (void *)id);
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, NULL);
    }
}

static void read_nodes(char *text)
{
    for (char *word = strtok(text, ":"); word && nodes < NODES_MAX; word = strtok(NULL, ":"))
        node_end[nodes++] = strtoull(word, NULL, 0);
}

static bool make_cache(uint64_t kib)
{
    uint64_t count = (kib << 10 >> LINE_BITS) / WAYS;
    if (count == 0 || count & (count - 1))
        return false;
    set_mask = count - 1;
    sets = calloc(count, sizeof *sets);
    return sets;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t plugin, const qemu_info_t *info, int argc,
                               char **argv)
{
    uint64_t cache_kib = 1024;
    (void)info;
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            return -1;
        *value++ = 0;
        if (!strcmp(argv[i], "out"))
            out = fopen(value, "w");
        else if (!strcmp(argv[i], "cpu"))
            watched_cpu = (unsigned)strtoul(value, NULL, 0);
        else if (!strcmp(argv[i], "cache"))
            cache_kib = strtoull(value, NULL, 0);
        else if (!strcmp(argv[i], "nodes"))
            read_nodes(value);
        else
            return -1;
    }
    if (!out || nodes == 0 || !make_cache(cache_kib))
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, on_translation);
    return 0;
}
