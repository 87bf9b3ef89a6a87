# redis-numa: the one door. Each long command stands once, here or in module-tests/tools/.
#
#   make run     get and build what is missing, start stock Redis with the module in the foreground
#                (PORT=<port>; ARGS="<module arguments> --<redis option> ...";
#                REDIS_SERVER=<path> for a server of your own)
#   make build   get and build what is missing, start nothing
#   make test    Rust tests, tests of the tools, server tests; ends with "N passed, N failed"
#   make bench-types     the NUMA types against the stock ones: memory, the suite of redis-benchmark
#   make bench-strings   NUMA.GET and NUMA.SET against GET and SET, interleaved on one server
#   make bench-tiering   hits, moves and cost of the tiering engine in a simulator, beside others
#   make bench, make bench-pool   the pool beside jemalloc, mimalloc and the C library: how fast,
#                how tight
#   make bench-holds  how long the module holds the main thread: huge values grown, moved, deleted
#   make test-soundness  memory, watched: random operations, loom, miri, sanitizer, valgrind
#   make bench-native    what the module costs stock commands: instructions, throughput
#   make test-redis Redis's own suite, while the module moves its keys to and fro
#   make test-types  Redis's own tests of the five types, on servers whose plain commands act on
#                NUMA types
#   make test-servers  what any server must show, on Debian's Redis 7.0 and Valkey 8, and on Redis
#                6.2 without jemalloc
#   make test-differential  1,000,000 random operations of each type, on stock and NUMA types alike
#   make test-replicas  1,000,000 mixed commands, a replica of another shape, moves on both sides
#   make test-numa  the tests on real NUMA nodes, in a Linux guest
#   make bench-numa far misses a request on these nodes, by who places Redis's memory
#   make demo-native     native keys of a stock file, tiered under Zipf and held against the oracle
#   make demo    replay a request trace and watch hot keys come near (TRACE=<file>, RATE=, ...)
#
# Everything that is made lies under target/; nothing else is written, nothing is installed.

MODULE := target/release/libredis_numa.so
TOOLS := module-tests/tools
# Runs a command with LIBCLANG_PATH set to a libclang that bindgen can use.
WITH_LIBCLANG := sh $(TOOLS)/with-libclang

export REDIS_SERVER PORT ARGS SERVERS

.DEFAULT_GOAL := help
.PHONY: bench bench-compaction bench-holds bench-native bench-numa bench-pool bench-strings \
	bench-tiering bench-types build clean demo demo-native help lint module plugins redis run \
	test test-differential test-numa test-pressure test-redis test-replicas test-rust \
	test-server test-servers test-soundness test-tools test-types tidy

help:
	@echo 'make run          build what is missing, start Redis with the module (PORT= ARGS= REDIS_SERVER=)'
	@echo 'make build        build the module and stock Redis 6.2 under target/'
	@echo 'make test         all tests; the last line is "N passed, N failed"'
	@echo 'make test-rust    the Rust tests only        (FILTER=<part of a test name>)'
	@echo 'make test-tools   the tests of the demo and of the test runner only'
	@echo 'make test-server  the server tests only      (UNITS="<file> ..." as in module-tests/tests.list)'
	@echo 'make test-redis   Redis own test suite while the module moves its keys  (UNITS="unit/type/list ...")'
	@echo 'make test-types   stock tests of the five types, on NUMA types  (TYPES="type/hash ...")'
	@echo 'make test-servers  Redis 7.0, Valkey 8 and Redis without jemalloc  (SERVERS="<name> ..." UNITS=)'
	@echo 'make test-differential random operations on stock and NUMA types  (OPERATIONS= SEED= TYPES="hashes ...")'
	@echo 'make test-replicas the same data on a replica of another shape  (OPERATIONS= SEED=)'
	@echo 'make test-numa    tests on real nodes, in a Linux guest (ONLY="<part of a test name>")'
	@echo 'make test-soundness  millions of operations, loom, miri, AddressSanitizer, valgrind'
	@echo 'make bench-numa   far misses a request, by who places the memory (ARGS="--only <row> --seed <n> ...")'
	@echo 'make demo         hot keys coming near, drawn  (TRACE= RATE= DEMO_REQUESTS=; see module-tests/demo)'
	@echo 'make demo-native  native keys of a stock file, against the oracle  (KEYS= NEAR= SECONDS= SEED=)'
	@echo 'make bench-types  NUMA types against the stock ones  (WHAT="memory strings throughput instructions")'
	@echo 'make bench-strings NUMA.GET and NUMA.SET against the stock ones (ROUNDS= SIZES= CALLGRIND=1)'
	@echo 'make bench-tiering the tiering engine in a simulator    (ONLY= KEYS= SEED= TRACES=; see its main.rs)'
	@echo 'make bench        the pool beside jemalloc, mimalloc and glibc: speed  (ROUNDS=)'
	@echo 'make bench-pool   the same: resident and live bytes'
	@echo 'make bench-compaction  memory of a server that lost a random half of its NUMA strings'
	@echo 'make bench-holds  the longest holds of the main thread by the module  (ONLY= SCALE= ROUNDS= RATE=)'
	@echo 'make bench-native  what the module costs stock commands (WHAT= MODE= ROUNDS=; needs valgrind)'
	@echo 'make plugins      the example strategies of other modules, in C and Rust, under target/plugins'
	@echo 'make test-pressure maxmemory, a full node, BGSAVE and a shifting hot set at once  (MINUTES=10)'
	@echo 'make lint         formatting and clippy, warnings are errors'
	@echo 'make tidy         format the code, then run the checks of src/tidy.rs'
	@echo 'make clean        remove target/'

build: module redis

module:
	@sh $(TOOLS)/need cargo cc python3 pip
	@$(WITH_LIBCLANG) cargo build --release --locked
	@chmod +x $(MODULE)

redis:
	@sh $(TOOLS)/need cc make python3 pip
	@python3 $(TOOLS)/get-redis

run: build
	@exec python3 $(TOOLS)/run-server

demo: build
	@exec python3 module-tests/demo/demo.py

demo-native: build
	@exec python3 module-tests/demo/native.py

bench-types: build
	@exec python3 -B module-tests/bench/numa_types.py

bench-strings: build
	@exec python3 module-tests/bench/strings.py

# No server is needed. The head of module-tests/bench/tiering/main.rs tells the settings.
bench-tiering:
	@sh $(TOOLS)/need cargo cc python3 pip
	@$(WITH_LIBCLANG) cargo bench -q --locked --features simulator --bench tiering

# Redis is built for its jemalloc, one of those compared.
bench: redis
	@sh $(TOOLS)/need cargo cc make
	@$(WITH_LIBCLANG) cargo bench --quiet --locked -p pool-bench --bench speed

bench-pool: redis
	@sh $(TOOLS)/need cargo cc make
	@$(WITH_LIBCLANG) cargo run --quiet --release --locked -p pool-bench --bin tightness

bench-compaction: build
	@exec python3 -B module-tests/bench/compaction.py

bench-holds: build
	@exec python3 -B module-tests/bench/holds.py

bench-native: build
	@exec python3 module-tests/bench/native.py

test:
	@sh $(TOOLS)/need cargo cc make python3 pip tclsh
	@exec python3 $(TOOLS)/test-all

test-rust:
	@sh $(TOOLS)/need cargo cc python3 pip
	@$(WITH_LIBCLANG) cargo test --locked --tests -- $(FILTER)

test-tools:
	@sh $(TOOLS)/need python3
	@status=0; for folder in tools demo guest servers; do \
		python3 -B -m unittest discover -s module-tests/$$folder -p 'test_*.py' || status=1; \
	done; exit $$status

# Strategies of other modules, in C and in Rust: examples, and one that is hostile for the tests.
PLUGIN_CFLAGS := -std=c99 -Wall -Wextra -Werror -O2 -fPIC -shared -Isrc/redis/plugin

plugins:
	@sh $(TOOLS)/need cargo cc python3 pip
	@mkdir -p target/plugins
	@tree=$$(python3 $(TOOLS)/get-redis --source) && for name in bring_home hostile; do \
		cc $(PLUGIN_CFLAGS) -I$$tree/src -o target/plugins/$$name.so \
			module-tests/plugins/$$name.c || exit 1; \
	done
	@$(WITH_LIBCLANG) cargo build --quiet --release --locked -p numa-strategy-cold-out
	@cp target/release/libcold_out.so target/plugins/cold_out.so
	@chmod +x target/plugins/*.so

test-server: build plugins
	@sh $(TOOLS)/need tclsh
	@python3 module-tests/run $(UNITS)

# Redis's own suite with native keys moved to and fro all the while: some ten minutes.
test-redis: redis
	@sh $(TOOLS)/need cargo cc python3 pip tclsh
	@$(WITH_LIBCLANG) cargo build --release --locked --features restless \
		--target-dir target/restless
	@chmod +x target/restless/release/libredis_numa.so
	@python3 module-tests/stock/run $(UNITS)

# Says which share of the stock tests is excepted; ends with "N passed, N failed".
test-types: build
	@sh $(TOOLS)/need tclsh
	@python3 -B module-tests/types/run $(TYPES)

# Fetches Debian packages and builds Redis once more; ends with "N passed, N failed".
test-servers: build
	@sh $(TOOLS)/need cc make tclsh
	@python3 -B module-tests/servers/run $(UNITS)
# Every reply, time to live and content compared, through moves, reloads and conversions: an hour of
# one core. `make test` does a tenth of it.
test-differential: OPERATIONS ?= 1000000
test-differential: TYPES ?= strings lists zsets hashes sets
test-differential: build
	@sh $(TOOLS)/need tclsh
	@NUMA_TEST_OPERATIONS=$(OPERATIONS) NUMA_TEST_SEED=$(SEED) NUMA_TEST_SECONDS=36000 \
		python3 -B module-tests/run $(TYPES:%=%-differential)

test-replicas: OPERATIONS ?= 1000000
test-replicas: build
	@sh $(TOOLS)/need tclsh
	@NUMA_TEST_OPERATIONS=$(OPERATIONS) NUMA_TEST_SEED=$(SEED) NUMA_TEST_SECONDS=36000 \
		python3 -B module-tests/run replica-shapes replicas-first

# Ten minutes, or MINUTES=<n>; ends with PASS or FAIL.
test-pressure: build
	@exec python3 -B module-tests/bench/pressure.py

# Fetches QEMU and a kernel as Debian packages; ends with "N passed, N failed[, N skipped]".
test-numa: build
	@python3 module-tests/guest/run $(if $(ONLY),--only '$(ONLY)')

# Needs valgrind; ends with "N passed, N failed".
test-soundness: build
	@exec python3 -B $(TOOLS)/soundness.py

# Boots the same guest once a row; needs what test-numa needs.
bench-numa: build
	@python3 module-tests/guest/table $(ARGS)

lint:
	@sh $(TOOLS)/need cargo cc python3 pip rustfmt clippy
	@cargo fmt --check
	@$(WITH_LIBCLANG) cargo clippy --locked --all-targets --features simulator -- -D warnings

tidy:
	@sh $(TOOLS)/need cargo cc python3 pip rustfmt
	@cargo fmt
	@$(WITH_LIBCLANG) cargo test --locked --lib tidy::

clean:
	rm -rf target
