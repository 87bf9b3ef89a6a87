/* hostile.c - a strategy that does what none should, for the tests: NUMA STRATEGY SET <slot> mode
 * <word> says what. As load arguments, `forgetful` does not unregister, `fail` fails after it has
 * registered, `abi`, `size`, `null`, `name` and `init` register what must be refused.
 */
#define _POSIX_C_SOURCE 200809L
#define REDISMODULE_EXPERIMENTAL_API
#include "redismodule.h"

#include "numa_strategy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MODULE "hostile"
#define NAME "hostile"

static char mode[32] = "calm";
static long cleanups;
static int forgetful, bad_init;
static NumaStrategyUnregister unregister_strategy;
static NumaStrategyRegister register_strategy;

static int hostile_init(void **self)
{
    if (bad_init)
        return NUMA_ERR;
    *self = mode;
    return NUMA_OK;
}

static void hostile_cleanup(void *self)
{
    (void)self;
    cleanups++;
}

/* A key that is there, for plans whose fault is elsewhere. */
static char known[64];
static size_t known_len;
static uint32_t known_db;

static void remember(void *arg, const NumaKey *key)
{
    const NumaView *view = arg;
    NumaKey again;

    if (key->name_len > sizeof(known))
        return;
    memcpy(known, key->name, key->name_len);
    known_len = key->name_len;
    known_db = key->db;
    /* Looking from inside a scan is allowed. */
    if (view->look(view, key->db, key->name, key->name_len, &again) != NUMA_OK ||
        again.node != key->node)
        strcpy(mode, "inconsistent");
}

static uint64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Works that long: a busy machine must not make it less. */
static void spin(uint64_t us)
{
    uint64_t end_us = cpu_us() + us;

    while (cpu_us() < end_us)
        ;
}

static int hostile_execute(void *self, const NumaView *view, NumaPlan *plan)
{
    static NumaMove moves[2];
    static NumaMove many[NUMA_MOVES_MAX + 1];

    (void)self;
    view->scan(view, 1000, remember, (void *)view, NULL);
    for (int at = 0; at < 2; at++) {
        moves[at].name = known;
        moves[at].name_len = known_len;
        moves[at].db = known_db;
        moves[at].to = 0;
        moves[at].why = NUMA_BALANCE;
    }
    plan->moves = moves;
    if (strcmp(mode, "error") == 0) {
        plan->error = "out of ideas";
        return NUMA_ERR;
    } else if (strcmp(mode, "mute") == 0) {
        return 77;
    } else if (strcmp(mode, "inconsistent") == 0) {
        plan->error = "look and scan differ";
        return NUMA_ERR;
    } else if (strcmp(mode, "node") == 0) {
        plan->count = 2;
        moves[1].to = 7;
    } else if (strcmp(mode, "negative") == 0) {
        plan->count = 2;
        moves[1].to = -1;
    } else if (strcmp(mode, "key") == 0) {
        plan->count = 2;
        moves[1].name = "no such key";
        moves[1].name_len = 11;
    } else if (strcmp(mode, "nameless") == 0) {
        plan->count = 2;
        moves[1].name = NULL;
    } else if (strcmp(mode, "endless") == 0) {
        plan->count = 2;
        moves[1].name_len = (size_t)-1;
    } else if (strcmp(mode, "null") == 0) {
        plan->count = 2;
        plan->moves = NULL;
    } else if (strcmp(mode, "many") == 0) {
        plan->moves = many;
        plan->count = NUMA_MOVES_MAX + 1;
    } else if (strcmp(mode, "reason") == 0) {
        plan->count = 2;
        moves[1].why = 99;
    } else if (strcmp(mode, "slow") == 0) {
        spin(10000);
    } else if (strcmp(mode, "standstill") == 0) {
        spin(60000);
    } else if (strcmp(mode, "reentrant") == 0) {
        /* Neither may come while a strategy runs. */
        if (unregister_strategy(MODULE, NAME) != NUMA_ERR_BUSY) {
            plan->error = "unregistered while it ran";
            return NUMA_ERR;
        }
    }
    return NUMA_OK;
}

static int hostile_set(void *self, const char *name, const char *value)
{
    (void)self;
    if (strcmp(name, "mode") != 0 || strlen(value) >= sizeof(mode))
        return NUMA_ERR;
    strcpy(mode, value);
    return NUMA_OK;
}

static int hostile_get(void *self, const char *name, char *value, size_t size)
{
    (void)self;
    if (strcmp(name, "mode") == 0)
        snprintf(value, size, "%s", mode);
    else if (strcmp(name, "cleanups") == 0)
        snprintf(value, size, "%ld", cleanups);
    else
        memset(value, 'x', size); /* no end in sight */
    return NUMA_OK;
}

static const char *const settings[] = {"mode", "cleanups", "unending", NULL};

int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    NumaStrategy strategy = {
        .abi = NUMA_STRATEGY_ABI,
        .size = sizeof(NumaStrategy),
        .module = MODULE,
        .name = NAME,
        .description = NULL,
        .settings = settings,
        .hot_level = 200,
        .init = hostile_init,
        .cleanup = hostile_cleanup,
        .execute = hostile_execute,
        .set = hostile_set,
        .get = hostile_get,
    };
    const char *word;
    int slot = NUMA_NO_SLOT, status;

    if (RedisModule_Init(ctx, MODULE, 1, REDISMODULE_APIVER_1) == REDISMODULE_ERR)
        return REDISMODULE_ERR;
    word = argc > 0 ? RedisModule_StringPtrLen(argv[0], NULL) : "";
    *(void **)&register_strategy = RedisModule_GetSharedAPI(ctx, NUMA_STRATEGY_REGISTER);
    *(void **)&unregister_strategy = RedisModule_GetSharedAPI(ctx, NUMA_STRATEGY_UNREGISTER);
    if (register_strategy == NULL || unregister_strategy == NULL)
        return REDISMODULE_ERR;
    forgetful = strcmp(word, "forgetful") == 0;
    bad_init = strcmp(word, "init") == 0;
    if (strcmp(word, "abi") == 0)
        strategy.abi++;
    else if (strcmp(word, "size") == 0)
        strategy.size -= 8;
    else if (strcmp(word, "null") == 0)
        strategy.execute = NULL;
    else if (strcmp(word, "name") == 0)
        strategy.name = "Not A Name";
    else if (strcmp(word, "taken") == 0)
        strategy.name = "composite-lru";
    else if (bad_init || forgetful || strcmp(word, "fail") == 0)
        slot = 4;
    status = register_strategy(&strategy, slot);
    if (strcmp(word, "fail") == 0)
        return REDISMODULE_ERR;
    return status == NUMA_OK ? REDISMODULE_OK : REDISMODULE_ERR;
}

int RedisModule_OnUnload(RedisModuleCtx *ctx)
{
    (void)ctx;
    if (forgetful)
        return REDISMODULE_OK;
    return unregister_strategy(MODULE, NAME) == NUMA_OK ? REDISMODULE_OK : REDISMODULE_ERR;
}
