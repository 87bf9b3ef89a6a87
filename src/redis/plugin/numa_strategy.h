/* numa_strategy.h - strategies of other modules for redis-numa.
 *
 * A strategy looks at the keyspace and returns a plan: which keys go to which node. It moves
 * nothing itself. redis-numa runs it in one of the slots 2 to 15, checks its plan, carries it out
 * within the budget of a tick, and stops it when it goes wrong.
 *
 *   1. Load redis-numa first. In RedisModule_OnLoad fetch its two functions:
 *        NumaStrategyRegister reg =
 *            (NumaStrategyRegister)RedisModule_GetSharedAPI(ctx, NUMA_STRATEGY_REGISTER);
 *      NULL means that redis-numa is not loaded: return REDISMODULE_ERR.
 *   2. Register a NumaStrategy. Register last: after it the load should not fail.
 *   3. In RedisModule_OnUnload unregister it, and return REDISMODULE_ERR if that is refused.
 *
 * While a module uses these functions, the server refuses to unload redis-numa (it would refuse
 * anyway: redis-numa has data types). A module that goes without unregistering is noticed, and its
 * strategies are dropped without being called again.
 *
 * Rules. All calls come from the server's main thread, one at a time. A strategy must not block,
 * must return within its budget, must not let a C++ exception or a Rust panic cross the border, and
 * must not use a NumaView after the call that lent it. Bytes that are handed in live until the
 * call returns; what a strategy hands out must live until its next call.
 *
 * Wrong runs are counted: an error, twice the budget and a millisecond, or a plan with NULL for its
 * moves or a name, too many moves, a node that cannot hold values, a key that does not exist, an
 * unknown reason. Five in a row stop the strategy until NUMA STRATEGY ENABLE; NUMA STRATEGY STATUS,
 * INFO and the log say so. A plan that is wrong in one move is carried out in none.
 *
 * ABI. Everything here belongs to version NUMA_STRATEGY_ABI. A struct never changes within a
 * version: `abi` and `size` must match, or the registration is refused.
 *
 * License: BSD-3-Clause, as redis-numa.
 */
#ifndef NUMA_STRATEGY_H
#define NUMA_STRATEGY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of all that stands here. */
#define NUMA_STRATEGY_ABI 1

/* The most moves of one plan. */
#define NUMA_MOVES_MAX 1024

/* Names of the shared functions, for RedisModule_GetSharedAPI. */
#define NUMA_STRATEGY_REGISTER "numa_strategy_register"
#define NUMA_STRATEGY_UNREGISTER "numa_strategy_unregister"

/* What the two functions and the callbacks of a strategy answer. */
#define NUMA_OK 0
#define NUMA_ERR 1          /* A callback failed. */
#define NUMA_ERR_ABI 2      /* `abi` is another version than redis-numa's. */
#define NUMA_ERR_SIZE 3     /* `size` is not the size of the struct in that version. */
#define NUMA_ERR_NULL 4     /* A pointer that must be there is NULL. */
#define NUMA_ERR_NAME 5     /* A name is empty, too long or has other characters than it may. */
#define NUMA_ERR_TAKEN 6    /* A strategy of that name, or one in that slot, is there already. */
#define NUMA_ERR_SLOT 7     /* The slot is not NUMA_NO_SLOT nor 2 to 15. */
#define NUMA_ERR_FULL 8     /* Too many strategies. */
#define NUMA_ERR_UNKNOWN 9  /* No strategy of that name was registered by that module. */
#define NUMA_ERR_BUSY 10    /* Called from inside a strategy, or from another thread. */
#define NUMA_ERR_INIT 11    /* The strategy's own init failed. */

/* No slot: NUMA STRATEGY SLOT <slot> <name> puts the strategy into one. */
#define NUMA_NO_SLOT (-1)

/* Why a key is to move. */
#define NUMA_PROMOTE 0 /* It is hot and far. */
#define NUMA_DEMOTE 1  /* It is cold and near, and its room is wanted. */
#define NUMA_BALANCE 2 /* Its node holds more than its share. */

/* A node that may hold values. */
typedef struct NumaNode {
    uint64_t used;       /* Bytes of values there. */
    uint64_t limit;      /* The most that values may take there. */
    uint64_t latency_ns; /* From home; 0 where the machine does not say. */
    int32_t id;          /* The kernel's number. */
    int32_t home;        /* 1 for the node that the server's main thread runs on, else 0. */
} NumaNode;

/* What is known of a key. */
typedef struct NumaKey {
    const char *name; /* Any bytes, no NUL at the end. */
    size_t name_len;
    uint64_t bytes;       /* What a move of it would move. */
    uint64_t idle_ms;     /* Since its last access. */
    uint64_t accesses;    /* So far. */
    uint64_t move_ns;     /* What a move of it would cost, as measured; 0 before the first. */
    uint32_t db;          /* Its database. */
    int32_t node;         /* Where most of its bytes are. */
    uint32_t level;       /* How hot it is, 0 to 7. */
    uint32_t per_era;     /* Accesses that the time of one era is expected to bring. */
    uint32_t pinned;      /* 1 where a user pinned it: it will not be moved. */
    uint32_t native;      /* 1 for a key of the server's own types. */
} NumaKey;

/* One key to move. */
typedef struct NumaMove {
    const char *name;
    size_t name_len;
    uint32_t db;
    int32_t to;       /* A node of NumaView.nodes. */
    uint32_t why;     /* NUMA_PROMOTE, NUMA_DEMOTE or NUMA_BALANCE. */
    uint32_t benefit; /* For NUMA PLAN alone: how much it is worth; any unit. */
} NumaMove;

/* What a strategy returns; all zero when it is called. */
typedef struct NumaPlan {
    const NumaMove *moves; /* In the order in which they are to be made. */
    size_t count;
    const char *error;     /* Why execute answered something else than NUMA_OK; or NULL. */
} NumaPlan;

typedef struct NumaView NumaView;

/* Is called once for each key that a scan passes. `key` lives until it returns. */
typedef void (*NumaEach)(void *arg, const NumaKey *key);

/* What a strategy may see. Nothing here changes a key, its heat or the server's LRU. */
struct NumaView {
    uint32_t abi;
    uint32_t size;         /* sizeof(NumaView). */
    uint64_t now_ms;       /* A clock that never goes back. */
    uint64_t era_ms;       /* How long an era lasts as of late. */
    uint64_t budget_us;    /* How long this call may take. */
    uint64_t budget_bytes; /* How much can be moved now; the rest of a plan is dropped. */
    uint64_t budget_keys;
    void *host;            /* redis-numa's own. */

    /* Microseconds of the same clock. */
    uint64_t (*now_us)(const NumaView *view);

    /* Fills `nodes` with at most `max` nodes, home first, then by latency; answers how many there
     * are in all. */
    size_t (*nodes)(const NumaView *view, NumaNode *nodes, size_t max);

    /* What is known of a key now; answers NUMA_OK, or NUMA_ERR where there is no such key. `key`
     * gets the caller's own pointer to the name. */
    int (*look)(const NumaView *view, uint32_t db, const char *name, size_t name_len,
                NumaKey *key);

    /* Goes on with this slot's endless walk over all keys for about `max` keys, at most 4096.
     * Answers how many it passed; `*wrapped` becomes 1 where it reached the end. */
    size_t (*scan)(const NumaView *view, size_t max, NumaEach each, void *arg, int *wrapped);

    /* Shows at most `max` far keys of which hot accesses were seen, oldest first. Each access is
     * shown to one strategy alone: whoever asks first. See NumaStrategy.hot_level. */
    size_t (*hot)(const NumaView *view, size_t max, NumaEach each, void *arg);
};

/* A strategy: a factory and its functions. redis-numa copies the struct; the strings and the
 * functions must stay until it is unregistered. */
typedef struct NumaStrategy {
    uint32_t abi;                 /* NUMA_STRATEGY_ABI. */
    uint32_t size;                /* sizeof(NumaStrategy). */
    const char *module;           /* The module's name, as it told RedisModule_Init. */
    const char *name;             /* 1 to 64 of a-z 0-9 - _ ; unique. */
    const char *description;      /* One line for NUMA STRATEGY LIST. */
    const char *const *settings;  /* Names of its settings, NULL at the end; NULL for none. */
    uint32_t hot_level;           /* Level from which far accesses are kept for NumaView.hot, 1 to
                                   * 7; 0 where it never asks. */
    uint32_t reserved;            /* 0. */

    /* Makes an instance: `*self` is handed to the other functions. Called each time that the
     * strategy is put into a slot. Anything else than NUMA_OK: it is not put there. */
    int (*init)(void **self);

    /* Ends an instance. */
    void (*cleanup)(void *self);

    /* Decides. Called once an interval, within the slot's budget. Anything else than NUMA_OK is a
     * wrong run; plan->error may say why. */
    int (*execute)(void *self, const NumaView *view, NumaPlan *plan);

    /* Changes a setting. Anything else than NUMA_OK: the value is refused and nothing changed. NULL
     * where there are no settings. */
    int (*set)(void *self, const char *name, const char *value);

    /* Writes a setting's value into `value`, `size` bytes with the NUL. NULL where there are no
     * settings. */
    int (*get)(void *self, const char *name, char *value, size_t size);
} NumaStrategy;

/* Makes a strategy known, and puts it into `slot` at once unless that is NUMA_NO_SLOT. The slot must
 * be empty. The reason of a refusal is in the server's log too. */
typedef int (*NumaStrategyRegister)(const NumaStrategy *strategy, int slot);

/* Takes a strategy out of its slot (cleanup is called) and forgets it. */
typedef int (*NumaStrategyUnregister)(const char *module, const char *name);

#ifdef __cplusplus
}
#endif

#endif
