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
