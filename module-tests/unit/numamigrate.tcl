# NUMAMIGRATE: moving by hand. Every form and error, exact counts, and that nobody can tell a move.
source [file join [file dirname [info script]] .. support numa.tcl]

proc stat_of {name} {
    return [numa_pair [r numamigrate stats] $name]
}

proc names {pairs} {
    set names {}
    foreach {name value} $pairs {lappend names $name}
    return $names
}

proc key_info {key name} {
    return [numa_pair [r numamigrate info $key] $name]
}

proc status_of {name} {
    return [numa_pair [r numa status] $name]
}

proc wait_for_pass {} {
    numa_wait 20 {[status_of pass] eq "none"} "the pass ends"
}

# `count` NUMA strings named <prefix>0, <prefix>1, ... of `size` bytes on a node.
proc fill {prefix count size {node 0}} {
    set client [redis_deferring_client]
    $client select [lindex [regexp -inline { db=(\d+)} [r client list id [r client id]]] 1]
    for {set i 0} {$i < $count} {incr i} {
        $client numa.set $prefix$i [string repeat v $size] node $node
    }
    for {set i 0} {$i <= $count} {incr i} {$client read}
    $client close
}

# How many of the keys <prefix>0 to <prefix>count-1 are on each node, as a dict.
proc spread {prefix count} {
    set on {}
    for {set i 0} {$i < $count} {incr i} {dict incr on [numa_node_of $prefix$i]}
    return $on
}

tags {numamigrate} {
    start_numa_server "[numa_two_nodes] numa-composite-lru-auto-migrate-enabled no" {} {
        test {KEY: moves, keeps the value, counts exactly} {
            r numa.set key [string repeat v 1000] node 0
            set bytes [key_info key bytes]
            r numamigrate reset
            assert_equal {OK} [r numamigrate key key 1]
            assert_equal 1 [numa_node_of key]
            assert_equal [list [list 1 $bytes]] [key_info key physical_nodes]
            assert_equal [string repeat v 1000] [r numa.get key]
            assert_equal 1 [stat_of total_migrations]
            assert_equal 1 [stat_of successful_migrations]
            assert_equal 0 [stat_of failed_migrations]
            assert_equal $bytes [stat_of total_bytes_migrated]
            assert_equal 1 [stat_of peak_concurrent_migrations]
            assert_equal 1 [numa_info numa_migrations]
            assert_equal $bytes [numa_info numa_migrated_bytes]
        }

        test {KEY: to the node where the key is: OK, and no migration} {
            assert_equal {OK} [r numamigrate key key 1]
            assert_equal 1 [stat_of total_migrations]
        }

        test {KEY: every error has its text and changes nothing} {
            r set native value
            r rpush list a b
            foreach {words error} {
                {missing 1}  {ERR Key not found}
                {{} 1}       {ERR Key not found}
                {key near}   {ERR Invalid target node}
                {key {}}     {ERR Invalid target node}
                {key 1.0}    {ERR Invalid target node}
                {key { 1}}   {ERR Invalid target node}
                {key 2}      {ERR Target node 2 out of range (0-1)}
                {key -1}     {ERR Target node -1 out of range (0-1)}
                {key 64}     {ERR Target node 64 out of range (0-1)}
                {native 1}   {ERR Unsupported key type for migration}
                {list 0}     {ERR Unsupported key type for migration}
            } {
                assert_error $error {r numamigrate key {*}$words}
            }
            assert_equal 1 [numa_node_of key]
            assert_equal value [r get native]
        }

        test {KEY: a full target answers out of memory, the key stays as it was} {
            r numa.set full [string repeat f 100000] node 0
            r numaconfig set node_limit 1 64kb
            set failed [stat_of failed_migrations]
            assert_error {ERR Out of memory during migration} {r numamigrate key full 1}
            assert_equal 0 [numa_node_of full]
            assert_equal [string repeat f 100000] [r numa.get full]
            assert_equal [expr {$failed + 1}] [stat_of failed_migrations]
            r numaconfig set node_limit 1 0
            assert_equal {OK} [r numamigrate key full 1]
            assert_equal 1 [numa_node_of full]
        }

        test {KEYS: counts moved, skipped and failed, each key once} {
            r flushall
            fill k 5 500 0
            r numamigrate key k4 1
            r set native value
            set reply [r numamigrate keys 1 k0 k1 k2 k3 k4 missing native]
            assert_equal {moved 4 skipped 2 failed 1} $reply
            assert_equal {1 5} [spread k 5]
            assert_equal {moved 0 skipped 1 failed 0} [r numamigrate keys 1 k0]
            assert_error {ERR Invalid target node} {r numamigrate keys x k0}
            assert_error {ERR Target node 9 out of range (0-1)} {r numamigrate keys 9 k0}
        }

        test {KEYS: the same key twice is moved once; many more than a plan holds all move} {
            assert_equal {moved 1 skipped 1 failed 0} [r numamigrate keys 0 k0 k0]
            fill many 2000 32 0
            set names {}
            for {set i 0} {$i < 2000} {incr i} {lappend names many$i}
            assert_equal {moved 2000 skipped 0 failed 0} [r numamigrate keys 1 {*}$names]
            assert_equal 1 [numa_node_of many1999]
        }

        test {STATS: the fields in their order, and exact sums over many moves} {
            r flushall
            r numamigrate reset
            assert_equal [list {*}{
                total_migrations successful_migrations failed_migrations total_bytes_migrated
                total_migration_time_us peak_concurrent_migrations
            }] [lrange [names [r numamigrate stats]] 0 5]
            set bytes 0
            foreach size {0 1 15 16 100 1000 5000 40000 1000000} {
                r numa.set k$size [string repeat v $size] node 0
                incr bytes [key_info k$size bytes]
                r numamigrate key k$size 1
                assert_equal [string repeat v $size] [r numa.get k$size]
            }
            assert_equal 9 [stat_of successful_migrations]
            assert_equal $bytes [stat_of total_bytes_migrated]
            assert_morethan [stat_of total_migration_time_us] 0
        }

        test {RESET: the counts begin again} {
            assert_equal {OK} [r numamigrate reset]
            foreach field {
                total_migrations successful_migrations failed_migrations total_bytes_migrated
                total_migration_time_us peak_concurrent_migrations
            } {
                assert_equal 0 [stat_of $field]
            }
        }

        test {INFO: the fields in their order} {
            r numa.set key [string repeat v 10000] node 1
            assert_equal [list {*}{
                type current_node hotness_level access_count numa_nodes_available
                current_cpu_node access_count_exact idle_ms plane bytes physical_nodes pinned
            }] [lrange [names [r numamigrate info key]] 0 11]
            assert_equal string [key_info key type]
            assert_equal 1 [key_info key current_node]
            assert_equal 2 [key_info key numa_nodes_available]
            assert_equal 0 [key_info key current_cpu_node]
            assert_equal 1 [key_info key access_count_exact]
            assert_equal numa [key_info key plane]
            assert_equal 0 [key_info key pinned]
        }

        test {INFO: bytes are what the value takes, physical nodes sum up to them} {
            foreach size {0 10 1000 10000 100000 3000000} {
                r numa.set key [string repeat v $size] node 1
                set bytes [key_info key bytes]
                assert_morethan_equal $bytes $size
                assert_lessthan_equal $bytes [expr {$size * 1.25 + 4200}]
                # MEMORY USAGE counts the name and the dict entry too.
                set usage [r memory usage key]
                assert_morethan_equal $usage $bytes
                assert_lessthan_equal $usage [expr {$bytes + 200}]
                set sum 0
                foreach row [key_info key physical_nodes] {incr sum [lindex $row 1]}
                assert_equal $bytes $sum
            }
        }

        test {INFO: looking neither heats the key nor ends its idleness} {
            r numa.set key value
            set count [key_info key access_count]
            set idle [key_info key idle_ms]
            after 300
            for {set i 0} {$i < 20} {incr i} {r numamigrate info key}
            assert_equal $count [key_info key access_count]
            assert_morethan_equal [key_info key idle_ms] [expr {$idle + 250}]
        }

        test {INFO: each access counts once and raises the level, at most to 7} {
            r numa.set key value
            set count [key_info key access_count]
            set level [key_info key hotness_level]
            for {set i 1} {$i <= 10} {incr i} {
                r numa.get key
                assert_equal [expr {$count + $i}] [key_info key access_count]
                assert_equal [expr {min(7, $level + $i)}] [key_info key hotness_level]
            }
            assert_lessthan [key_info key idle_ms] 200
        }

        test {INFO: the level falls by the table, scaled by decay_threshold_sec} {
            r numaconfig set composite_lru_decay_threshold_sec 1
            r numa.set key value
            for {set i 0} {$i < 10} {incr i} {r numa.get key}
            assert_equal 7 [key_info key hotness_level]
            after 600
            assert_equal 7 [key_info key hotness_level] "under the threshold nothing goes"
            after 700
            assert_equal 6 [key_info key hotness_level] "behind it one level"
            after 5000
            assert_equal 5 [key_info key hotness_level] "behind six times of it two"
            r numa.get key
            assert_equal 6 [key_info key hotness_level] "an access adds to what is left"
            r numaconfig set composite_lru_decay_threshold_sec 10
        }

        test {INFO: errors} {
            r set native value
            assert_error {ERR Key not found} {r numamigrate info missing}
            assert_error {ERR Unsupported key type for migration} {r numamigrate info native}
            assert_error {ERR *'info'*} {r numamigrate info}
            assert_error {ERR *'info'*} {r numamigrate info key 1}
        }

        test {a move keeps TTL, LRU, heat and counters, and tells nobody} {
            r flushall
            r numa.set key value
            r pexpire key 100000
            for {set i 0} {$i < 4} {incr i} {r numa.get key}
            after 1200
            set before [r numamigrate info key]
            set idletime [r object idletime key]
            set ttl [r pttl key]
            set dirty [s rdb_changes_since_last_save]
            set digest [r debug digest]
            r config set notify-keyspace-events KEA
            set events [redis_deferring_client]
            $events psubscribe *
            $events read
            set watcher [redis_client]
            $watcher watch key
            r numamigrate key key 1
            r numamigrate keys 0 key
            r numamigrate key key 1
            assert_equal 1 [numa_node_of key]
            set after [r numamigrate info key]
            foreach field {hotness_level access_count bytes pinned} {
                assert_equal [numa_pair $before $field] [numa_pair $after $field] $field
            }
            assert_morethan_equal [numa_pair $after idle_ms] [numa_pair $before idle_ms]
            assert_morethan_equal [r object idletime key] $idletime
            assert_range [r pttl key] [expr {$ttl - 2000}] $ttl
            assert_equal $dirty [s rdb_changes_since_last_save]
            assert_equal $digest [r debug digest]
            $watcher multi
            $watcher ping
            assert_equal {PONG} [$watcher exec] "a move breaks no transaction"
            r publish done now
            # The first that comes is ours: no event came before it.
            assert_match {*done now} [$events read]
            $events close
            $watcher close
        }

        test {names of any bytes} {
            foreach name [list "" "\x00" "a\x00b\xff" "two words" "line\r\nbreak" \
                    [string repeat n 100000]] {
                r numa.set $name value node 0
                assert_equal {OK} [r numamigrate key $name 1]
                assert_equal 1 [numa_node_of $name]
                assert_equal {moved 1 skipped 0 failed 0} [r numamigrate keys 0 $name]
                assert_equal value [r numa.get $name]
            }
        }

        test {expired keys are not found} {
            r debug set-active-expire 0
            r numa.set gone value px 1
            after 20
            assert_error {ERR Key not found} {r numamigrate info gone}
            assert_error {ERR Key not found} {r numamigrate key gone 1}
            assert_equal {moved 0 skipped 1 failed 0} [r numamigrate keys 1 gone]
            r debug set-active-expire 1
        }

        test {in MULTI} {
            r numa.set key value node 0
            r multi
            r numamigrate key key 1
            r numamigrate info key
            set reply [r exec]
            assert_equal OK [lindex $reply 0]
            assert_equal 1 [numa_pair [lindex $reply 1] current_node]
            r multi
            r numamigrate key missing 1
            r numamigrate key key 0
            assert_error {ERR Key not found} {r exec}
            assert_equal 0 [numa_node_of key]
        }

        test {PATTERN: moves what matches in this database, in the background} {
            r flushall
            fill a 300 100 0
            fill b 50 100 0
            r select 3
            fill a 20 100 0
            r select 9
            r numamigrate reset
            assert_equal {OK} [r numamigrate pattern a* 1]
            wait_for_pass
            assert_equal {1 300} [spread a 300]
            assert_equal {0 50} [spread b 50]
            assert_equal 300 [stat_of successful_migrations]
            assert_equal {PATTERN a* of db 9 to node 1} [status_of last_pass]
            assert_equal done [status_of last_pass_end]
            assert_equal 300 [status_of last_pass_moved]
            r select 3
            assert_equal {0 20} [spread a 20]
            r select 9
        }

        test {DB: moves all keys of this database and no other's, with ten of them in use} {
            r flushall
            for {set db 0} {$db < 10} {incr db} {
                r select $db
                fill k 40 100 0
            }
            r select 4
            assert_equal {OK} [r numamigrate db 1]
            wait_for_pass
            for {set db 0} {$db < 10} {incr db} {
                r select $db
                assert_equal [expr {$db == 4 ? "1 40" : "0 40"}] [spread k 40] "db $db"
            }
            r select 9
        }

        test {PATTERN and DB: errors} {
            assert_error {ERR Invalid target node} {r numamigrate pattern * x}
            assert_error {ERR Target node 2 out of range (0-1)} {r numamigrate pattern * 2}
            assert_error {ERR Invalid target node} {r numamigrate db x}
            assert_error {ERR Target node 2 out of range (0-1)} {r numamigrate db 2}
            assert_equal none [status_of pass]
        }

        test {one pass at a time: a second answers an error naming the first; CANCEL stops it} {
            r flushall
            fill k 300 10000 0
            # Slow enough to be looked at: 3 MB at 1 MB a second.
            r numaconfig set migrate_rate 1mb
            assert_equal {OK} [r numamigrate pattern k* 1]
            assert_equal {PATTERN k* of db 9 to node 1} [status_of pass]
            assert_equal 1 [numa_info numa_pass_running]
            foreach words {
                {numamigrate pattern x* 0} {numamigrate db 0} {numaconfig rebalance}
                {numa release} {numa release match k1*}
            } {
                assert_error {ERR A background pass is running: PATTERN k\* of db 9 to node 1*} {
                    r {*}$words
                }
            }
            numa_wait 5 {[status_of pass_moved] > 0} "the pass moves"
            assert_equal 300 [status_of pass_keys]
            assert_range [status_of pass_scanned] 1 300
            assert_equal {OK} [r numamigrate cancel]
            assert_equal none [status_of pass]
            assert_equal cancelled [status_of last_pass_end]
            assert_error {ERR No background pass is running} {r numamigrate cancel}
            r numaconfig set migrate_rate 256mb
            set moved [status_of last_pass_moved]
            assert_range $moved 1 299
            assert_equal $moved [dict get [spread k 300] 1]
        }

        test {SCAN: scanned and migrated; COUNT and its errors} {
            r flushall
            fill k 100 100 0
            assert_equal {scanned migrated} [names [r numamigrate scan]]
            set reply [r numamigrate scan count 50]
            assert_range [numa_pair $reply scanned] 50 100
            assert_equal 0 [numa_pair $reply migrated]
            foreach count {0 -1 -9223372036854775808} {
                assert_error {ERR COUNT must be positive} {r numamigrate scan count $count}
            }
            foreach count {x {} 1.5 99999999999999999999} {
                assert_error {ERR value is not an integer or out of range} {
                    r numamigrate scan count $count
                }
            }
            assert_error {ERR COUNT must be at most *} {r numamigrate scan count 10000000}
            assert_error {ERR syntax error} {r numamigrate scan limit 5}
            assert_error {ERR *'scan'*} {r numamigrate scan count}
            assert_error {ERR *'scan'*} {r numamigrate scan count 1 2}
            assert_equal 9 [lindex [regexp -inline { db=(\d+)} [r client list]] 1]
        }

        test {unknown subcommands and wrong numbers of words name the subcommand} {
            foreach words {
                frob key {key a} {key a 1 2} keys {keys 1} pattern {pattern *} {pattern * 1 2}
                db {db 1 2} {cancel x} {stats x} {reset x} {help x}
            } {
                set sub [lindex $words 0]
                assert_error "ERR Unknown subcommand or wrong number of arguments for '$sub'*" {
                    r numamigrate {*}$words
                }
            }
            assert_error {ERR wrong number of arguments for 'numamigrate' command} {r numamigrate}
        }

        test {HELP names every form} {
            set help [join [r numamigrate help] "\n"]
            foreach form {
                {KEY <key> <node>} KEYS PATTERN {DB <node>} CANCEL STATS {INFO <key>} SCAN RESET
                HELP
            } {
                assert_match "*\n$form*" $help
            }
        }

        test {flags and key positions, as cluster clients and ACL rules need them} {
            set flags [lindex [lindex [r command info numamigrate] 0] 2]
            assert {"admin" in $flags && "movablekeys" in $flags}
            assert {"write" ni $flags && "denyoom" ni $flags}
            foreach prefix {numamigrate {numa migrate}} {
                assert_equal k [r command getkeys {*}$prefix key k 1]
                assert_equal k [r command getkeys {*}$prefix info k]
                assert_equal {a b c} [r command getkeys {*}$prefix keys 1 a b c]
            }
            assert_equal k [r command getkeys numa convert k native]
        }

        test {asking for key positions with too few words harms nobody} {
            foreach words {
                numamigrate {numamigrate key} {numamigrate keys} {numamigrate keys 1}
                {numamigrate info} numa {numa convert} {numa migrate} {numa migrate key}
                {numa migrate keys 1} {numamigrate stats} {numa help} {numamigrate frob}
            } {
                catch {r command getkeys {*}$words}
                assert_equal {PONG} [r ping]
            }
            r acl setuser limited on nopass ~allowed* +@all
            set client [redis_client]
            $client auth limited nopass
            foreach words {numamigrate numa {numamigrate key} {numa convert} {numamigrate keys}} {
                catch {$client {*}$words} error
                assert_match {ERR*} $error
            }
            assert_error {NOPERM*} {$client numamigrate key other 1}
            assert_error {NOPERM*} {$client numa migrate keys 1 allowed1 other}
            assert_error {ERR Key not found} {$client numamigrate key allowed1 1}
            $client close
            r acl deluser limited
        }
    }

    set overrides {save "" rdb-key-save-delay 2000}
    start_numa_server "[numa_two_nodes] numa-composite-lru-auto-migrate-enabled no" \
            [list overrides $overrides] {
        test {a pass rests while a child of the server runs, and goes on behind it} {
            fill k 1500 100 0
            r bgsave
            r numamigrate db 1
            after 500
            assert_equal 1 [s rdb_bgsave_in_progress]
            assert_equal {0 1500} [spread k 1500]
            assert_match {paused*child*} [status_of moves]
            assert_equal 0 [numa_info numa_moving]
            waitForBgsave r
            wait_for_pass
            assert_equal {1 1500} [spread k 1500]
            assert_equal 1 [numa_info numa_moving]
        }

        test {move_during_fork yes: a pass works while a child runs} {
            r numaconfig set move_during_fork yes
            r bgsave
            r numamigrate db 0
            wait_for_pass
            assert_equal 1 [s rdb_bgsave_in_progress]
            assert_equal {0 1500} [spread k 1500]
            waitForBgsave r
        }
    }

    start_numa_server {} {} {
        start_numa_server "[numa_two_nodes] numa-composite-lru-auto-migrate-enabled no" {} {
            test {on a read-only replica keys move, and the master is not told} {
                r -1 numa.set key value
                r -1 numa.set other value
                r replicaof [srv -1 host] [srv -1 port]
                wait_for_sync r
                wait_for_ofs_sync r [srv -1 client]
                set offset [s -1 master_repl_offset]
                assert_equal 0 [numa_node_of key]
                assert_equal {OK} [r numamigrate key key 1]
                assert_equal {OK} [r numa migrate key other 1]
                assert_equal 1 [numa_node_of key]
                assert_equal {OK} [r numamigrate db 0]
                wait_for_pass
                assert_equal 0 [numa_node_of key]
                r numamigrate key key 1
                assert_equal 0 [numa_pair [r -1 numamigrate info key] current_node]
                assert_equal value [r numa.get key]
                assert_equal [r debug digest] [r -1 debug digest]
                r -1 numa.set key more
                wait_for_ofs_sync r [srv -1 client]
                assert_equal more [r numa.get key]
                assert_equal 1 [numa_node_of key]
            }
        }
    }
}
