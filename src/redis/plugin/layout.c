/* Compares the header with abi.rs. build.rs gives each number as the Rust compiler has it; one that
 * differs ends the build. Nothing of this is in the module. */
#include "numa_strategy.h"

#define SAME(what, rust) _Static_assert((what) == (rust), #what " differs from abi.rs")
#define FIELD(type, field) SAME(offsetof(type, field), OFFSET_##type##_##field)

SAME(NUMA_STRATEGY_ABI, RUST_ABI);
SAME(NUMA_MOVES_MAX, RUST_MOVES_MAX);
SAME(sizeof(NumaNode), SIZE_NumaNode);
SAME(sizeof(NumaKey), SIZE_NumaKey);
SAME(sizeof(NumaMove), SIZE_NumaMove);
SAME(sizeof(NumaPlan), SIZE_NumaPlan);
SAME(sizeof(NumaView), SIZE_NumaView);
SAME(sizeof(NumaStrategy), SIZE_NumaStrategy);

SAME(NUMA_OK, RUST_OK);
SAME(NUMA_ERR, RUST_ERR);
SAME(NUMA_ERR_ABI, RUST_ERR_ABI);
SAME(NUMA_ERR_SIZE, RUST_ERR_SIZE);
SAME(NUMA_ERR_NULL, RUST_ERR_NULL);
SAME(NUMA_ERR_NAME, RUST_ERR_NAME);
SAME(NUMA_ERR_TAKEN, RUST_ERR_TAKEN);
SAME(NUMA_ERR_SLOT, RUST_ERR_SLOT);
SAME(NUMA_ERR_FULL, RUST_ERR_FULL);
SAME(NUMA_ERR_UNKNOWN, RUST_ERR_UNKNOWN);
SAME(NUMA_ERR_BUSY, RUST_ERR_BUSY);
SAME(NUMA_ERR_INIT, RUST_ERR_INIT);
SAME(NUMA_NO_SLOT, RUST_NO_SLOT);
SAME(NUMA_PROMOTE, RUST_PROMOTE);
SAME(NUMA_DEMOTE, RUST_DEMOTE);
SAME(NUMA_BALANCE, RUST_BALANCE);

#define NODE(field) FIELD(NumaNode, field)
NODE(used); NODE(limit); NODE(latency_ns); NODE(id); NODE(home);

#define KEY(field) FIELD(NumaKey, field)
KEY(name); KEY(name_len); KEY(bytes); KEY(idle_ms); KEY(accesses); KEY(move_ns); KEY(db);
KEY(node); KEY(level); KEY(per_era); KEY(pinned); KEY(native);

#define MOVE(field) FIELD(NumaMove, field)
MOVE(name); MOVE(name_len); MOVE(db); MOVE(to); MOVE(why); MOVE(benefit);

#define PLAN(field) FIELD(NumaPlan, field)
PLAN(moves); PLAN(count); PLAN(error);

#define VIEW(field) FIELD(NumaView, field)
VIEW(abi); VIEW(size); VIEW(now_ms); VIEW(era_ms); VIEW(budget_us); VIEW(budget_bytes);
VIEW(budget_keys); VIEW(host); VIEW(now_us); VIEW(nodes); VIEW(look); VIEW(scan); VIEW(hot);

#define STRATEGY(field) FIELD(NumaStrategy, field)
STRATEGY(abi); STRATEGY(size); STRATEGY(module); STRATEGY(name); STRATEGY(description);
STRATEGY(settings); STRATEGY(hot_level); STRATEGY(reserved); STRATEGY(init); STRATEGY(cleanup);
STRATEGY(execute); STRATEGY(set); STRATEGY(get);
