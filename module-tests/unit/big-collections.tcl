# Lists and sorted sets of many elements: what they take, and that they move in slices while they
# are read and written.
source [file join [file dirname [info script]] .. support numa.tcl]

proc fill {zadd rpush suffix} {
    for {set i 0} {$i < 20000} {incr i 500} {
        set pairs {}
        set elements {}
        for {set j $i} {$j < $i + 500} {incr j} {
            set member [format %016x [expr {($j * 2654435761) % 4294967291}]]
            lappend pairs [expr {($j * 40503) % 65521}] $member
            lappend elements $member
        }
        r $zadd z:$suffix {*}$pairs
        r $rpush l:$suffix {*}$elements
    }
}

# Moves a key and waits until all its bytes have arrived; `each` runs meanwhile.
proc move_and {key node each} {
    assert_equal OK [r numamigrate key $key $node]
    for {set left 1200} {$left > 0} {incr left -1} {
        for {set i 0} {$i < 10} {incr i} {uplevel 1 $each}
        set physical [numa_pair [r numamigrate info $key] physical_nodes]
        if {[llength $physical] == 1 && [lindex $physical 0 0] == $node} return
        after 50
    }
    fail "not all of $key came to node $node: $physical"
}

tags {lists zsets big slow} {
    # A tick may take what it needs: the test shall not wait for two percent of a thread.
    set arguments [list [numa_three_nodes] numa-cpu-share 10 numa-auto-rebalance no \
        numa-composite-lru-auto-migrate-enabled no]
    start_numa_server [join $arguments] {overrides {save {}}} {
        test {a sorted set takes three quarters of the stock one at most, a list about as much} {
            fill zadd rpush stock
            fill numa.zadd numa.rpush numa
            set stock [r memory usage z:stock samples 0]
            set numa [r memory usage z:numa]
            assert_lessthan $numa [expr {$stock * 0.75}]
            assert_lessthan [r memory usage l:numa] [expr {[r memory usage l:stock samples 0] * 1.05}]
            r del z:stock l:stock
        }

        test {a sorted set moves while it is read and written} {
            set ::written 0
            move_and z:numa 1 {
                r numa.zadd z:numa [incr ::written] new:$::written
                r numa.zrem z:numa [lindex [r numa.zrange z:numa 5000 5000] 0]
                assert_equal $::written [r numa.zscore z:numa new:$::written]
            }
            assert_equal 20000 [r numa.zcard z:numa]
            assert_morethan $::written 1
            set last {}
            foreach {member score} [r numa.zrange z:numa 0 -1 withscores] {
                if {$last ne {} && $score < $last} {fail "$score behind $last"}
                set last $score
            }
        }

        test {a list moves while it is read and written} {
            set ::pushed 0
            move_and l:numa 2 {
                r numa.rpush l:numa [incr ::pushed]
                r numa.linsert l:numa before $::pushed other
                r numa.lpop l:numa 2
                assert_equal $::pushed [r numa.lindex l:numa -1]
            }
            assert_equal 20000 [r numa.llen l:numa]
        }

        test {another target takes over, and a save in between is whole} {
            r numamigrate key z:numa 0
            r numamigrate key z:numa 2
            set digest [r debug digest]
            r debug reload
            assert_equal $digest [r debug digest]
            assert_equal 0 [numa_info numa_panics_caught]
        }

        test {UNLINK and FLUSHALL ASYNC give every block back from another thread} {
            r unlink z:numa
            r flushall async
            numa_wait 20 {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes]
                + [numa_info numa_node2_used_bytes] == 0} {all blocks back}
        }
    }
}
