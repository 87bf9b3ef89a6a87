# Commands that go to replicas and the AOF without the API's detour: they are counted once, arrive in
# order, and those of scripts and other clients without a connection still go by the API.
source [file join [file dirname [info script]] .. support numa.tcl]

# One of each kind of write, over and over.
proc some_writes {client n} {
    $client numa.set s:$n $n
    $client numa.incr counter
    $client numa.rpush list $n
    $client numa.hset hash $n value
    $client numa.sadd set $n
    $client numa.zadd zset $n $n
}

proc changes {} {
    return [s rdb_changes_since_last_save]
}

tags {repl} {
    start_numa_server {} {overrides {save {} appendonly yes repl-diskless-sync-delay 0}} {
        set master [srv 0 client]

        test {the count of changes is found by watching it, and counted on by one} {
            assert_equal 1 [numa_info numa_direct_keys]
            assert_equal 3 [numa_info numa_direct_commands]
            assert_equal 0 [numa_info numa_direct_propagation]
            set before [changes]
            for {set n 1} {$n <= 20} {incr n} {
                some_writes r $n
                assert_equal [expr {$before + 6 * $n}] [changes]
            }
            assert_equal 1 [numa_info numa_direct_propagation]
        }

        test {a write that changes nothing is not counted} {
            set before [changes]
            r numa.sadd set 1
            r numa.zadd zset 1 1
            r numa.hsetnx hash 1 other
            assert_equal $before [changes]
        }

        test {writes in MULTI and in scripts go to the AOF with those around them} {
            r multi
            some_writes r 100
            r lpush native 1
            r exec
            r eval {redis.call('numa.rpush', 'list', 'script'); redis.call('set', 'n', '1')} 0
            r eval {redis.replicate_commands(); redis.call('numa.rpush', 'list', 'effect')
                    redis.call('numa.incr', 'counter')} 0
            some_writes r 101
            # An expired key goes by a DEL in front of what is written anew.
            r numa.set gone old px 1
            after 5
            r numa.append gone new
            set digest [r debug digest]
            r debug loadaof
            assert_equal $digest [r debug digest]
            assert_equal new [r numa.get gone]
        }

        start_numa_server {} {overrides {save {}}} {
            set replica [srv 0 client]

            test {a replica gets what comes while it is being made, and afterwards} {
                $replica replicaof [srv -1 host] [srv -1 port]
                for {set n 200} {$n < 300} {incr n} {some_writes $master $n}
                wait_for_sync $replica
                for {} {$n < 400} {incr n} {some_writes $master $n}
                wait_for_ofs_sync $master $replica
                assert_equal [$master debug digest] [$replica debug digest]
                assert_equal 399 [$replica numa.get s:399]
            }
        }
    }
}

proc hits {} {return [s keyspace_hits]}

# Commands that are served without a context do what the others do, and each look is counted once.
start_numa_server {} {overrides {save {}}} {
    test {a SET that is served shortly takes the time to live away, keeps the bytes, tells watchers} {
        # Until the count of changes is found, writes go the long way.
        for {set n 0} {$n < 10} {incr n} {r numa.set key $n}
        assert_equal 1 [numa_info numa_direct_propagation]
        r numa.set key some ex 100
        r numa.set key other
        assert_equal {other -1} [list [r numa.get key] [r ttl key]]
        r numa.set key 10 ex 100
        r numa.incr key
        assert_equal {11 100} [list [r numa.get key] [r ttl key]]
        set rd [redis_deferring_client]
        r watch key
        $rd numa.set key 12
        assert_equal OK [$rd read]
        r multi
        r ping
        assert_equal {} [r exec]
        r watch key
        $rd numa.incr key
        assert_equal 13 [$rd read]
        r multi
        r ping
        assert_equal {} [r exec]
        $rd close
    }

    test {what is no number, or too large a one, is left as it is} {
        foreach value {abc 9223372036854775807 { 1} 007} {
            r numa.set key $value
            assert_error *ERR* {r numa.incr key}
            assert_equal $value [r numa.get key]
        }
        r numa.set key 99
        assert_equal {100 101} [list [r numa.incr key] [r numa.incr key]]
        r numa.set key -1
        assert_equal {0 0} [list [r numa.incr key] [r numa.get key]]
    }

    test {each look is a hit or a miss, once} {
        r set native 1
        set before [list [s keyspace_hits] [s keyspace_misses]]
        r numa.get key
        assert_error WRONGTYPE* {r numa.get native}
        assert_equal {} [r numa.get absent]
        assert_equal {} [r numa.get absent]
        lassign $before hits misses
        assert_equal [list [expr {$hits + 2}] [expr {$misses + 2}]] \
            [list [s keyspace_hits] [s keyspace_misses]]
    }

    test {bytes of every length come back as they went} {
        foreach length {0 1 9 10 24 25 26 44 45 96 97 99 100 255 256 1000 65535 65536 100000} {
            set value [string repeat "\x00\r\n$length" [expr {$length / 2}]]
            set value [string range $value 0 [expr {$length - 1}]]
            r numa.set key $value
            r numa.set key $value
            assert_equal $value [r numa.get key]
        }
    }

    test {under plain names either plane is met, and each look is counted once} {
        r numaconfig set transparent_types all
        r set numa-key value
        # Were it a native one, this would be a wrong type.
        assert_equal 5 [r numa.strlen numa-key]
        set before [s keyspace_hits]
        assert_equal {value 1} [list [r get numa-key] [r get native]]
        assert_equal [expr {$before + 2}] [s keyspace_hits]
        assert_equal string [r type native]
        r set native 2
        assert_equal {string 2 3} [list [r type native] [r get native] [r incr native]]
        r numaconfig set transparent_types none
        r rpush native-list 1
        r numaconfig set transparent_types all
        assert_error "WRONGTYPE Operation against a key holding the wrong kind of value" {
            r get native-list
        }
    }
}
