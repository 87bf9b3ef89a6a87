# NUMA PIN on native keys: who is pinned stays, and the pin goes where the key goes.
source [file join [file dirname [info script]] .. support numa.tcl]

proc pinned {key} {
    return [numa_pair [r numamigrate info $key] pinned]
}

# A pinned key may be written anew: it is brought back within some ticks.
proc comes_back {key node} {
    numa_wait 10 {[numa_node_of $key] == $node} "$key to lie on node $node"
}

start_numa_server [numa_args {numa-native-keys manage}] {overrides {save ""}} {
    test {PIN moves native keys of every type to the node and holds them there} {
        r set string [string repeat v 400]
        r hset hash f [string repeat v 400]
        r rpush list a b
        r sadd set a b
        r zadd zset 1 a
        r xadd stream * a b
        assert_equal {pinned 6 missing 0 failed 0} [r numa pin 1 string hash list set zset stream]
        foreach key {string hash list set zset stream} {
            assert_equal {1 1} [list [numa_node_of $key] [pinned $key]] $key
        }
        assert_equal 6 [numa_info numa_native_pins]
        assert_match {pinned to its node*} [numa_pair [r numa explain string] why]
    }

    test {a pinned native key that is hot and far stays, and one that is not comes home} {
        r set free [string repeat v 400]
        r numamigrate key free 1
        numa_wait 30 {[assert_poured 2000 [numa_pour 0 2000 "GET free"]] eq {} &&
            [assert_poured 2000 [numa_pour 0 2000 "GET string"]] eq {} &&
            [numa_node_of free] == 0} "the free key to come home"
        assert_equal 1 [numa_node_of string]
    }

    test {no pass and no list of keys moves a pinned native key} {
        r numamigrate db 0
        numa_wait 30 {[numa_pair [r numa status] pass] eq {none}} "the pass to end"
        assert_equal {moved 0 skipped 2 failed 0} [r numamigrate keys 0 string hash]
        foreach key {string hash list set zset stream} {assert_equal 1 [numa_node_of $key] $key}
    }

    test {the pin goes with the key: RENAME, MOVE, SWAPDB; not to a copy, nor to what takes its place} {
        r rename string other
        assert_equal 1 [pinned other]
        r set string new
        assert_equal 0 [pinned string]
        r copy other copied
        assert_equal 0 [pinned copied]
        r rename string other
        assert_equal 0 [pinned other]
        r move hash 10
        r select 10
        assert_equal {1 1} [list [pinned hash] [numa_node_of hash]]
        r swapdb 10 11
        r set hash [string repeat v 400]
        assert_equal 0 [pinned hash]
        r select 11
        assert_equal 1 [pinned hash]
        r flushdb
        r set hash [string repeat v 400]
        assert_equal 0 [pinned hash]
        r select 9
    }

    test {what goes loses its pin: DEL, expiry, the last element} {
        assert_equal {pinned 4 missing 0 failed 0} [r numa pin 1 list set zset other]
        r del list
        r spop set 2
        r pexpire zset 1
        numa_wait 10 {[r exists zset] == 0} "the key to expire"
        r rpush list a
        r sadd set a
        r zadd zset 1 a
        assert_equal {0 0 0 1} [list [pinned list] [pinned set] [pinned zset] [pinned other]]
    }

    test {a pinned key that is written anew or grows is brought back to its node} {
        r set other [string repeat w 500]
        comes_back other 1
        assert_equal 1 [pinned other]
        r append other [string repeat w 5000]
        comes_back other 1
        for {set i 0} {$i < 500} {incr i} {r hset stable "field $i" [string repeat v 40]}
        assert_equal {pinned 1 missing 0 failed 0} [r numa pin 1 stable]
        for {set i 500} {$i < 1000} {incr i} {r hset stable "field $i" [string repeat v 40]}
        comes_back stable 1
        assert_equal 1000 [r hlen stable]
    }

    test {NUMAMIGRATE KEY moves a pinned native key, and it stays pinned there} {
        assert_equal OK [r numamigrate key other 0]
        assert_equal {1 0} [list [pinned other] [numa_node_of other]]
        r set other [string repeat x 600]
        after 100
        assert_equal 0 [numa_node_of other]
    }

    test {UNPIN lets native keys go, and numbers cannot be pinned} {
        assert_equal {unpinned 2 missing 1 failed 0} [r numa unpin other stream none]
        assert_equal {0 0} [list [pinned other] [pinned stream]]
        r set number 12345
        assert_equal {pinned 0 missing 0 failed 1} [r numa pin 1 number]
    }

    test {a reload ends the pins of native keys and drops none of the keys} {
        set digest [r debug digest]
        r debug reload
        assert_equal 0 [pinned stable]
        assert_equal $digest [r debug digest]
        assert_equal {0 0} [list [numa_info numa_native_pins] [numa_info numa_panics_caught]]
    }
}

start_numa_server [numa_args {numa-native-keys manage numa-default-strategy interleaved}] {} {
    test {no policy settles a pinned key elsewhere} {
        for {set i 0} {$i < 40} {incr i} {
            r set key$i [string repeat v 400]
            assert_equal {pinned 1 missing 0 failed 0} [r numa pin 1 key$i]
        }
        for {set i 0} {$i < 40} {incr i} {r set key$i [string repeat w 500]}
        for {set i 0} {$i < 40} {incr i} {comes_back key$i 1}
    }
}
