# Slot 1 at work: hot far keys come near within the limits, and nothing moves without a reason.
source [file join [file dirname [info script]] .. support numa.tcl]

# `count` NUMA strings of `size` bytes, all far.
proc fill_far {count size} {
    set client [redis_deferring_client]
    for {set i 0} {$i < $count} {incr i} {
        $client numa.set key:$i [string repeat v $size] node 1
    }
    for {set i 0} {$i < $count} {incr i} {$client read}
    $client close
}

# Reads keys <from> to <to>-1, `rounds` times.
proc read_keys {from to rounds} {
    set client [redis_deferring_client]
    for {set round 0} {$round < $rounds} {incr round} {
        for {set i $from} {$i < $to} {incr i} {$client numa.get key:$i}
        for {set i $from} {$i < $to} {incr i} {$client read}
    }
    $client close
}

proc near_of {from to} {
    set near 0
    for {set i $from} {$i < $to} {incr i} {
        if {[numa_node_of key:$i] == 0} {incr near}
    }
    return $near
}

# Reads the keys again and again until that share of them is near.
proc read_until_near {from to wanted seconds} {
    for {set left [expr {$seconds * 5}]} {$left > 0} {incr left -1} {
        read_keys $from $to 2
        set near [near_of $from $to]
        if {$near >= $wanted} {return $near}
        after 200
    }
    fail "of keys $from to $to only $near are near, wanted $wanted"
}

proc wait_still {} {
    set last -1
    numa_wait 15 {
        [set now [numa_info numa_migrations]] == $last || [set last $now] < 0 || [after 400] ne {}
    } "moves end"
}

# Fills near with keys that are in use, so that a far key must earn its place.
proc fill_near {count size} {
    set client [redis_deferring_client]
    for {set i 0} {$i < $count} {incr i} {
        $client numa.set near:$i [string repeat n $size] node 0
        for {set n 0} {$n < 20} {incr n} {$client numa.get near:$i}
        for {set n 0} {$n < 21} {incr n} {$client read}
    }
    $client close
}

tags {automatic} {
    # Near is limited, and more than 80 % of it is taken.
    start_numa_server "[numa_two_nodes] numa-node-limit 0 512kb" {} {
        test {nothing moves while nothing is used, however long the walk goes on} {
            fill_near 400 1000
            fill_far 300 1000
            after 2500
            assert_equal 0 [near_of 0 300]
            assert_equal 0 [numa_info numa_migrations]
            assert_morethan [numa_info numa_slot1_runs] 1
        }

        test {far keys that grow hot by reads alone come near, the others stay} {
            read_until_near 0 20 20 15
            assert_morethan_equal [numa_info numa_migrations] 20
            assert_morethan_equal [numa_info numa_slot1_moves] 20
            assert_equal 0 [near_of 100 300]
            assert_lessthan_equal [numa_info numa_node0_used_bytes] 524288
            assert_equal [string repeat v 1000] [r numa.get key:7]
        }

        test {what the mover did is counted alike everywhere} {
            wait_still
            set stats [r numamigrate stats]
            assert_equal [numa_info numa_migrations] [numa_pair $stats successful_migrations]
            assert_equal [numa_info numa_migrated_bytes] [numa_pair $stats total_bytes_migrated]
            assert_equal [numa_info numa_migrations] [expr {
                [numa_pair $stats moved_promote] + [numa_pair $stats moved_demote]
            }]
            assert_equal 0 [numa_info numa_migrations_failed]
        }

        test {a move by the strategy keeps TTL and heat, and tells nobody} {
            r pexpire key:250 1000000
            set dirty [s rdb_changes_since_last_save]
            set digest [r debug digest]
            set count [numa_pair [r numamigrate info key:250] access_count]
            for {set i 0} {$i < 40} {incr i} {r numa.get key:250}
            numa_wait 10 {[numa_node_of key:250] == 0} "the hot key comes near"
            assert_equal [expr {$count + 40}] [numa_pair [r numamigrate info key:250] access_count]
            assert_morethan_equal [numa_pair [r numamigrate info key:250] hotness_level] 6
            assert_equal $dirty [s rdb_changes_since_last_save]
            assert_equal $digest [r debug digest]
            assert_range [r pttl key:250] 900000 1000000
        }

        test {idle again: moves end and stay ended} {
            wait_still
            set moves [numa_info numa_migrations]
            after 2000
            assert_equal $moves [numa_info numa_migrations]
        }
    }

    # Near has room for about a hundred of three hundred keys.
    start_numa_server "[numa_two_nodes] numa-node-limit 0 128kb" {} {
        test {near keeps to its limit, hot keys are there and the hot set may change} {
            fill_far 300 1000
            read_until_near 0 50 45 15
            assert_lessthan_equal [numa_info numa_node0_used_bytes] 131072
            for {set round 0} {$round < 12} {incr round} {
                read_keys 200 250 4
                assert_lessthan_equal [numa_info numa_node0_used_bytes] 131072
                after 100
            }
            read_until_near 200 250 45 20
            assert_lessthan_equal [numa_info numa_node0_used_bytes] 131072
            assert_equal 300 [r dbsize]
        }

        test {more hot keys than near can hold: it fills, stays within its limit, and calms down} {
            for {set round 0} {$round < 10} {incr round} {
                read_keys 0 300 1
                assert_lessthan_equal [numa_info numa_node0_used_bytes] 131072
            }
            assert_morethan [numa_info numa_node0_used_bytes] 65536
            wait_still
        }

        test {a node over its limit after the limit was lowered: cold keys leave} {
            r numaconfig set node_limit 0 64kb
            numa_wait 20 {[numa_info numa_node0_used_bytes] <= 65536} "near is within its limit"
            assert_equal 300 [r dbsize]
        }
    }

    start_numa_server "[numa_two_nodes] numa-composite-lru-auto-migrate-enabled no" {} {
        test {auto_migrate_enabled no: heat rises, nothing moves} {
            fill_far 50 100
            read_keys 0 50 20
            after 2500
            assert_equal 7 [numa_pair [r numamigrate info key:7] hotness_level]
            assert_equal 0 [near_of 0 50]
            assert_equal 0 [numa_info numa_migrations]
        }

        test {auto_migrate_enabled yes while running: they come} {
            r numaconfig set composite_lru_auto_migrate_enabled yes
            read_until_near 0 50 50 10
        }
    }

    start_numa_server "[numa_two_nodes] numa-enabled no" {} {
        test {numa-enabled no: nothing moves; switched on while running, it does; and off again} {
            fill_far 100 100
            read_keys 0 20 20
            after 1500
            assert_equal 0 [numa_info numa_migrations]
            r numaconfig set enabled yes
            read_until_near 0 20 20 10
            r numaconfig set enabled no
            wait_still
            set moves [numa_info numa_migrations]
            read_keys 50 70 20
            after 1500
            assert_equal $moves [numa_info numa_migrations]
        }
    }

    set overrides {save "" rdb-key-save-delay 20000}
    start_numa_server [numa_two_nodes] [list overrides $overrides] {
        test {while a child of the server runs nothing moves by itself} {
            r numaconfig set composite_lru_auto_migrate_enabled no
            fill_far 100 100
            r bgsave
            r numaconfig set composite_lru_auto_migrate_enabled yes
            read_keys 0 20 20
            after 500
            assert_equal 1 [s rdb_bgsave_in_progress]
            assert_equal 0 [near_of 0 20]
            waitForBgsave r
            read_until_near 0 20 20 10
        }
    }
}
