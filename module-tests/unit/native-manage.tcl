# numa-native-keys: what each word means for keys of the stock types.
source [file join [file dirname [info script]] .. support numa.tcl]

# Placed by hand, far, and big enough to tell.
proc native_send_far {count prefix} {
    for {set i 0} {$i < $count} {incr i} {
        r set $prefix$i [string repeat v 400]
        r numamigrate key $prefix$i 1
    }
}

# Transactions of ten reads each; how many there were.
proc native_transactions {count} {
    for {set i 0} {$i < $count} {incr i} {
        r multi
        for {set j 0} {$j < 10} {incr j} {r get multi}
        r exec
    }
    return $i
}

proc native_far {count prefix} {
    set far 0
    for {set i 0} {$i < $count} {incr i} {incr far [numa_node_of "$prefix$i"]}
    return $far
}

start_numa_server [numa_args {numa-native-keys off}] {} {
    test {off: native keys are left alone, and can be switched on while running} {
        r set key [string repeat v 400]
        assert_equal off [numa_info numa_native_plane]
        assert_error "ERR Unsupported key type for migration" {r numamigrate key key 1}
        r numaconfig set native-keys observe
        numa_wait 10 {[numa_info numa_native_plane] eq "on"} "the plane"
        assert_equal OK [r numamigrate key key 1]
        assert_equal 1 [numa_node_of key]
    }
}

set overrides {save "" rdb-key-save-delay 50000}
start_numa_server [numa_args {numa-native-keys observe}] [list overrides $overrides] {
    test {while a child of the server runs no native key is heated, and after it each is} {
        for {set i 0} {$i < 100} {incr i} {r set key$i [string repeat v 100]}
        r bgsave
        numa_wait 10 {[numa_info numa_moving] == 0} "the rest"
        set accesses [numa_info numa_native_accesses]
        for {set i 0} {$i < 10} {incr i} {numa_pour 0 1000 "GET key1"}
        assert_equal 1 [s rdb_bgsave_in_progress]
        waitForBgsave r
        numa_wait 10 {[numa_info numa_moving] == 1} "the end of it"
        # What passed before the tick that saw the child may have been noted.
        assert {[numa_info numa_native_accesses] <= $accesses + 2000}
        numa_wait 20 {
            [numa_pour 0 1000 "GET key1"] ne {} &&
            [numa_info numa_native_accesses] > $accesses + 5000
        } "accesses"
    }
}

start_numa_server [numa_args {numa-native-keys observe}] {} {
    test {observe: heat is counted, and nothing moves by itself} {
        native_send_far 20 far
        # Of many commands some ticks alone are watched, and stand for the others.
        numa_wait 20 {
            [numa_pour 0 5000 "GET far1"] ne {} && [numa_info numa_native_accesses] >= 20000
        } "accesses"
        numa_wait 10 {[numa_pair [r numamigrate info far1] hotness_level] == 7} "heat"
        assert_equal 0 [numa_pair [r numamigrate info far1] access_count_exact]
        assert {[numa_pair [r numamigrate info far1] access_count] > 1000}
        set surveys [numa_info numa_surveys]
        numa_wait 20 {[numa_info numa_surveys] > $surveys + 2} "walks"
        assert_equal 20 [native_far 20 far]
        assert_equal 20 [numa_info numa_far_keys]
    }

    test {scripts and transactions heat keys as commands do} {
        r set script [string repeat v 400]
        set reads {for i = 1, 300 do redis.call('get', KEYS[1]) end}
        numa_wait 20 {
            [r eval $reads 1 script] eq {}
            && [numa_pair [r numamigrate info script] access_count] > 500
        } "script"
        r set multi [string repeat v 400]
        numa_wait 20 {
            [native_transactions 30] == 30
            && [numa_pair [r numamigrate info multi] access_count] > 500
        } "transaction"
    }

    test {a stranger who is not authenticated heats nothing} {
        r set secret [string repeat v 400]
        r config set requirepass password
        r auth password
        set stranger [redis [srv host] [srv port]]
        # What came before is counted in batches: until it stands still it would be the stranger's.
        set refused -1
        numa_wait 10 {$refused == [set refused [numa_info numa_native_accesses]]} "the count to rest"
        for {set i 0} {$i < 3000} {incr i} {
            assert_error "NOAUTH*" {$stranger get secret}
        }
        after 100
        assert {[numa_info numa_native_accesses] < $refused + 1000}
        assert {[numa_pair [r numamigrate info secret] access_count] < 50}
        $stranger close
        r config set requirepass {}
    }
}

start_numa_server [numa_args {numa-native-keys manage}] {} {
    test {manage: a hot far key comes home and cold ones stay} {
        native_send_far 50 far
        assert_equal 50 [native_far 50 far]
        r numaconfig set composite-lru-migrate-hotness-threshold 5
        numa_wait 30 {[assert_poured 5000 [numa_pour 0 5000 "GET far1"]] eq {} &&
            [numa_node_of far1] == 0} "far1 to come home"
        assert {[native_far 50 far] >= 1}
        assert {[numa_info numa_slot1_moves] > 0}
    }
}

start_numa_server [numa_args {numa-native-keys manage composite-lru-auto-migrate-enabled no}] {} {
    foreach {policy least most} {
        interleaved 120 280
        round_robin 190 210
        weighted 190 210
    } {
        test "new native keys are settled by $policy" {
            r flushall
            r numaconfig set strategy $policy
            for {set i 0} {$i < 100} {incr i} {
                r set "s$policy$i" [string repeat v 300]
                r hset "h$policy$i" field [string repeat v 300]
                r rpush "l$policy$i" [string repeat v 300]
                r zadd "z$policy$i" 1 [string repeat v 300]
            }
            numa_wait 10 {[native_far 100 s$policy] + [native_far 100 h$policy] +
                [native_far 100 l$policy] + [native_far 100 z$policy] >= $least} "settling"
            after 100
            set far [expr {[native_far 100 s$policy] + [native_far 100 h$policy] +
                [native_far 100 l$policy] + [native_far 100 z$policy]}]
            assert_range $far $least $most
        }
    }

    test {a key that is changed in place is not settled again} {
        r numaconfig set strategy round_robin
        r rpush steady a
        numa_wait 10 {[numa_pair [r numamigrate stats] moved_settle] >= 0} "a tick"
        after 100
        set node [numa_node_of steady]
        for {set i 0} {$i < 20} {incr i} {
            r rpush steady a
            after 15
            assert_equal $node [numa_node_of steady]
        }
    }

    test {local_first leaves new keys where they are} {
        r flushall
        r numaconfig set strategy local_first
        for {set i 0} {$i < 200} {incr i} {r set near$i [string repeat v 300]}
        after 100
        assert_equal 0 [native_far 200 near]
    }
}
