source [file join [file dirname [info script]] .. support numa.tcl]

# PIN and UNPIN: who is pinned stays, for strategies and passes; a move by hand is its owner's.

proc pinned {key} {
    return [numa_pair [r numamigrate info $key] pinned]
}

start_numa_server {} {overrides {save ""}} {
    test {PIN moves keys to the node and holds them there, whatever their type} {
        r flushall
        r numa.set string v
        r numa.hset hash f v
        r numa.rpush list a b
        r numa.sadd set a b
        r numa.zadd zset 1 a
        assert_equal {pinned 5 missing 0 failed 0} [r numa pin 1 string hash list set zset]
        foreach key {string hash list set zset} {
            assert_equal 1 [numa_node_of $key] $key
            assert_equal 1 [pinned $key] $key
        }
    }

    test {a pinned key that is hot and far stays, and one that is not comes home} {
        r numa.set free v node 1
        numa_wait 30 {[assert_poured 2000 [numa_pour 0 2000 "NUMA.GET free"]] eq {} &&
            [assert_poured 2000 [numa_pour 0 2000 "NUMA.GET string"]] eq {} &&
            [numa_node_of free] == 0} "the free key to come home"
        assert_equal 1 [numa_node_of string]
    }

    test {no pass moves a pinned key} {
        r numamigrate db 0
        numa_wait 30 {[numa_pair [r numa status] pass] eq {none}} "the pass to end"
        assert_equal {1 1} [list [numa_node_of string] [numa_node_of hash]]
    }

    test {the pin goes with the key: RENAME, overwrite, reload; it does not go to a copy} {
        r rename string other
        assert_equal 1 [pinned other]
        r numa.set other another
        assert_equal {1 1} [list [pinned other] [numa_node_of other]]
        r copy other copied
        assert_equal 0 [pinned copied]
        r debug reload
        assert_equal 1 [pinned other]
        assert_equal 1 [pinned zset]
    }

    test {NUMAMIGRATE moves a pinned key, and it stays pinned} {
        assert_equal OK [r numamigrate key other 0]
        assert_equal {1 0} [list [pinned other] [numa_node_of other]]
    }

    test {UNPIN lets keys go} {
        assert_equal {unpinned 2 missing 1 failed 0} [r numa unpin other hash none]
        assert_equal {0 0 1} [list [pinned other] [pinned hash] [pinned zset]]
        assert_equal {unpinned 1 missing 0 failed 0} [r numa unpin hash]
    }

    test {PIN: native and missing keys are counted and left alone} {
        r set native v
        assert_equal {pinned 0 missing 1 failed 1} [r numa pin 1 native none]
        assert_equal v [r get native]
        assert_equal {unpinned 0 missing 0 failed 1} [r numa unpin native]
    }

    test {PIN and UNPIN: errors, and nothing changes} {
        assert_error {ERR Invalid target node} {r numa pin far other}
        assert_error {ERR Target node 7 out of range (0-1)} {r numa pin 7 other}
        assert_error {ERR Unknown subcommand or wrong number of arguments for 'pin'*} {r numa pin 1}
        assert_error {ERR Unknown subcommand or wrong number of arguments for 'unpin'*} {
            r numa unpin
        }
        assert_equal 0 [pinned other]
        assert_equal {a b} [r command getkeys numa pin 1 a b]
        assert_equal {a b} [r command getkeys numa unpin a b]
    }
}

start_numa_server [numa_args {numa-admin-commands no}] {} {
    test {PIN and UNPIN obey numa-admin-commands} {
        r numa.set k v
        assert_error {ERR *admin-commands*} {r numa pin 1 k}
        assert_error {ERR *admin-commands*} {r numa unpin k}
        assert_equal {0 0} [list [pinned k] [numa_node_of k]]
    }
}
