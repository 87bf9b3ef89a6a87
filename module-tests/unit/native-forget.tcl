# Freed far blocks do not become near values, and names take their places along.
source [file join [file dirname [info script]] .. support numa.tcl]

set native [numa_args {numa-native-keys observe tick-interval 1000}]

proc native_pour_near {count prefix} {
    assert_poured $count [numa_pour 0 $count "SET $prefix%k [string repeat v 90]"]
}

# How many of the keys lie far.
proc native_far {count prefix} {
    set far 0
    for {set i 0} {$i < $count} {incr i} {
        incr far [numa_node_of "$prefix$i"]
    }
    return $far
}

proc native_send_far {count prefix} {
    set keys {}
    for {set i 0} {$i < $count} {incr i} {lappend keys $prefix$i}
    assert_equal $count [numa_pair [r numamigrate keys 1 {*}$keys] moved]
    return $keys
}

start_numa_server $native {} {
    foreach {how code} {
        DEL      {foreach key $keys {r del $key}}
        UNLINK   {r unlink {*}$keys}
        expiry   {foreach key $keys {r pexpire $key 1}; after 5; foreach key $keys {r get $key}}
        FLUSHDB  {r flushdb}
        FLUSHALL {r flushall async}
        RENAME   {foreach key $keys {r rename near$key $key}}
    } {
        test "after far keys went by $how, new values lie near" {
            r flushall
            for {set i 0} {$i < 300} {incr i} {
                r set far$i [string repeat f 90]
                r set nearfar$i 1
            }
            set keys [native_send_far 300 far]
            eval $code
            for {set i 0} {$i < 300} {incr i} {r set new$i [string repeat n 90]}
            assert_equal 0 [native_far 300 new]
        }
    }

    # The server's statistics of the arenas are a tenth of a second old, at an age of its own choice.
    test {after FLUSHDB at any moment after a move, new values lie near} {
        for {set round 0} {$round < 40} {incr round} {
            r flushall
            for {set i 0} {$i < 100} {incr i} {r set far$i [string repeat f 90]}
            native_send_far 100 far
            after [expr {$round * 3}]
            r flushdb
            for {set i 0} {$i < 100} {incr i} {r set new$i [string repeat n 90]}
            assert_equal 0 [native_far 100 new]
        }
    }

    test {after eviction of far keys, new values lie near} {
        r flushall
        for {set i 0} {$i < 2000} {incr i} {r set far$i [string repeat f 900]}
        native_send_far 2000 far
        r config set maxmemory-policy allkeys-random
        r config set maxmemory [expr {[s used_memory] - 500000}]
        r set trigger x
        numa_wait 10 {[s evicted_keys] > 200} "eviction"
        r config set maxmemory 0
        for {set i 0} {$i < 300} {incr i} {r set new$i [string repeat n 900]}
        assert_equal 0 [native_far 300 new]
    }

    test {a renamed, moved or swapped key is known to be where it is} {
        r flushall
        r set a [string repeat a 100]
        r set b [string repeat b 100]
        r numamigrate key a 1
        r rename a c
        assert_equal 1 [numa_node_of c]
        r move c 5
        r select 5
        assert_equal 1 [numa_node_of c]
        r copy c d
        assert_equal 0 [numa_node_of d]
        r swapdb 5 9
        r select 9
        assert_equal 1 [numa_node_of c]
        r set c [string repeat c 100]
        assert_equal 0 [numa_node_of c]
    }

    test {far keys are counted by the walk over the keys, and forgotten by it} {
        r flushall
        r config set notify-keyspace-events {}
        for {set i 0} {$i < 500} {incr i} {r set far$i [string repeat f 90]}
        native_send_far 500 far
        r numaconfig set tick-interval 10
        numa_wait 30 {[numa_info numa_far_keys] == 500} "the walk"
        r flushall
        numa_wait 30 {[numa_info numa_far_keys] == 0} "the walk to forget"
    }

    test {DEBUG RELOAD and a saved file bring native keys back near and whole} {
        for {set i 0} {$i < 200} {incr i} {r set far$i [string repeat $i 30]}
        r hset hash a b
        native_send_far 200 far
        r numamigrate key hash 1
        set digest [r debug digest]
        r debug reload
        assert_equal $digest [r debug digest]
        assert_equal 0 [native_far 200 far]
    }
}
