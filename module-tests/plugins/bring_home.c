/* bring_home.c - a complete strategy for redis-numa in C.
 *
 * It brings far keys home that are hot by their level, as long as home has room, and moves nothing
 * else. `level` is the hotness from which on a key is brought, 5 until it is set.
 *
 *   cc -std=c99 -O2 -fPIC -shared -I<redis>/src -I<redis-numa>/src/redis/plugin \
 *      -o bring_home.so bring_home.c
 *   MODULE LOAD /path/to/bring_home.so [<slot>]
 *   NUMA STRATEGY SLOT 2 bring-home        (where no slot was named)
 *   NUMA STRATEGY SET 2 level 6
 */
#define REDISMODULE_EXPERIMENTAL_API
#include "redismodule.h"

#include "numa_strategy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE "bring_home"
#define NAME "bring-home"

/* Moves of one plan, bytes of their names, keys passed in one call. */
#define MOVES_MAX 256
#define NAMES_BYTES (64 * 1024)
#define SCAN_KEYS 64
#define NODES_MAX 64

/* One instance: what it was told, and the plan it writes, which must live until the next call. */
struct bring_home {
    uint32_t level;
    int32_t home;
    uint64_t room;
    size_t count;
    size_t names_used;
    NumaMove moves[MOVES_MAX];
    char names[NAMES_BYTES];
};

static int bring_home_init(void **self)
{
    struct bring_home *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NUMA_ERR;
    made->level = 5;
    *self = made;
    return NUMA_OK;
}

static void bring_home_cleanup(void *self)
{
    free(self);
}

/* Plans a key that is far, hot and fits; called for each key of a scan. */
static void consider(void *arg, const NumaKey *key)
{
    struct bring_home *own = arg;
    NumaMove *move;

    if (key->node == own->home || key->pinned || key->level < own->level)
        return;
    if (key->bytes > own->room || own->count == MOVES_MAX)
        return;
    if (key->name_len > NAMES_BYTES - own->names_used)
        return;
    move = &own->moves[own->count++];
    /* The name that is shown lives for this call only. */
    memcpy(own->names + own->names_used, key->name, key->name_len);
    move->name = own->names + own->names_used;
    move->name_len = key->name_len;
    move->db = key->db;
    move->to = own->home;
    move->why = NUMA_PROMOTE;
    move->benefit = key->per_era;
    own->names_used += key->name_len;
    own->room -= key->bytes;
}

static int bring_home_execute(void *self, const NumaView *view, NumaPlan *plan)
{
    struct bring_home *own = self;
    NumaNode nodes[NODES_MAX];
    uint64_t end_us = view->now_us(view) + view->budget_us;
    int wrapped = 0;

    if (view->nodes(view, nodes, NODES_MAX) < 2)
        return NUMA_OK;
    own->count = own->names_used = 0;
    own->home = nodes[0].id;
    /* A tenth of home stays free for new values. */
    own->room = nodes[0].limit - nodes[0].limit / 10;
    own->room -= own->room < nodes[0].used ? own->room : nodes[0].used;
    while (!wrapped && own->count < MOVES_MAX && view->now_us(view) < end_us) {
        if (view->scan(view, SCAN_KEYS, consider, own, &wrapped) == 0)
            break;
    }
    plan->moves = own->moves;
    plan->count = own->count;
    return NUMA_OK;
}

static int bring_home_set(void *self, const char *name, const char *value)
{
    struct bring_home *own = self;
    char *end;
    long level = strtol(value, &end, 10);

    if (strcmp(name, "level") != 0 || *value == '\0' || *end != '\0' || level < 1 || level > 7)
        return NUMA_ERR;
    own->level = (uint32_t)level;
    return NUMA_OK;
}

static int bring_home_get(void *self, const char *name, char *value, size_t size)
{
    struct bring_home *own = self;

    if (strcmp(name, "level") != 0)
        return NUMA_ERR;
    snprintf(value, size, "%u", (unsigned)own->level);
    return NUMA_OK;
}

static const char *const settings[] = {"level", NULL};

static NumaStrategyUnregister unregister_strategy;

int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    NumaStrategyRegister register_strategy;
    NumaStrategy strategy = {
        .abi = NUMA_STRATEGY_ABI,
        .size = sizeof(NumaStrategy),
        .module = MODULE,
        .name = NAME,
        .description = "Brings far keys home that are hot by their level, while there is room.",
        .settings = settings,
        .init = bring_home_init,
        .cleanup = bring_home_cleanup,
        .execute = bring_home_execute,
        .set = bring_home_set,
        .get = bring_home_get,
    };
    long long slot = NUMA_NO_SLOT;

    if (RedisModule_Init(ctx, MODULE, 1, REDISMODULE_APIVER_1) == REDISMODULE_ERR)
        return REDISMODULE_ERR;
    if (argc > 1 || (argc == 1 && RedisModule_StringToLongLong(argv[0], &slot) == REDISMODULE_ERR)) {
        RedisModule_Log(ctx, "warning", "usage: loadmodule bring_home.so [<slot>]");
        return REDISMODULE_ERR;
    }
    /* A function pointer through a data pointer: what the server's API asks for. */
    *(void **)&register_strategy = RedisModule_GetSharedAPI(ctx, NUMA_STRATEGY_REGISTER);
    *(void **)&unregister_strategy = RedisModule_GetSharedAPI(ctx, NUMA_STRATEGY_UNREGISTER);
    if (register_strategy == NULL || unregister_strategy == NULL) {
        RedisModule_Log(ctx, "warning", "load redis-numa first");
        return REDISMODULE_ERR;
    }
    return register_strategy(&strategy, (int)slot) == NUMA_OK ? REDISMODULE_OK : REDISMODULE_ERR;
}

int RedisModule_OnUnload(RedisModuleCtx *ctx)
{
    (void)ctx;
    return unregister_strategy(MODULE, NAME) == NUMA_OK ? REDISMODULE_OK : REDISMODULE_ERR;
}
