# The mistakes of the module's ancestor: for each a test that would catch it.
source [file join [file dirname [info script]] .. support numa.tcl]

proc status_of {name} {
    return [numa_pair [r numa status] $name]
}

proc wait_for_pass {} {
    numa_wait 20 {[status_of pass] eq "none"} "the pass ends"
}

# Writes `count` new keys of `size` bytes; how many lie on each of three nodes.
proc spread_of_new {count size} {
    r flushall
    set on {0 0 0}
    for {set i 0} {$i < $count} {incr i} {
        r numa.set key:$i [string repeat v $size]
        set node [numa_node_of key:$i]
        lset on $node [expr {[lindex $on $node] + 1}]
    }
    return $on
}

set ::still "numa-composite-lru-auto-migrate-enabled no numa-auto-rebalance no"

tags {ancestor} {
    start_numa_server "[numa_three_nodes] $::still" {} {
        test {setting a strategy changes placement} {
            assert_equal {30 0 0} [spread_of_new 30 100]
            r numaconfig set strategy round_robin
            assert_equal {10 10 10} [spread_of_new 30 100]
            r numaconfig set strategy local_first
            assert_equal {30 0 0} [spread_of_new 30 100]
        }

        test {accesses raise heat} {
            r numa.set key value
            set before [numa_pair [r numamigrate info key] hotness_level]
            for {set i 0} {$i < 10} {incr i} {r numa.get key}
            assert_equal 7 [numa_pair [r numamigrate info key] hotness_level]
            assert_lessthan $before 7
        }

        test {a string goes to its target node, whatever its size, and so says the kernel's ledger} {
            r flushall
            foreach size {0 1 43 44 45 500 5000 100000 3000000} {
                foreach node {1 2 0} {
                    r numa.set at:$size [string repeat v $size] node $node
                    set info [r numamigrate info at:$size]
                    assert_equal $node [numa_pair $info current_node] "$size on $node"
                    set bytes [numa_pair $info bytes]
                    assert_equal [list [list $node $bytes]] [numa_pair $info physical_nodes]
                    r numamigrate key at:$size 2
                    set info [r numamigrate info at:$size]
                    assert_equal [list [list 2 $bytes]] [numa_pair $info physical_nodes]
                    r del at:$size
                }
            }
        }

        test {migrated bytes are counted} {
            r numamigrate reset
            set bytes 0
            for {set i 0} {$i < 50} {incr i} {
                r numa.set k$i [string repeat v [expr {$i * 100}]] node 0
                incr bytes [numa_pair [r numamigrate info k$i] bytes]
                r numamigrate key k$i 1
            }
            assert_equal $bytes [numa_pair [r numamigrate stats] total_bytes_migrated]
            assert_equal $bytes [numa_info numa_migrated_bytes]
        }

        test {REBALANCE has a consumer} {
            r flushall
            r numaconfig set strategy round_robin
            r numaconfig set balance_threshold 0
            for {set i 0} {$i < 300} {incr i} {r numa.set k$i [string repeat v 1000] node 0}
            r numaconfig rebalance
            wait_for_pass
            foreach node {0 1 2} {lappend held [numa_info numa_node${node}_used_bytes]}
            lassign [lsort -integer $held] least middle most
            assert_lessthan [expr {$most - $least}] [expr {$middle / 10}]
            r numaconfig set balance_threshold 30
            r numaconfig set strategy local_first
        }

        test {pressure_aware neither waits for itself nor stops the server} {
            r numaconfig set strategy pressure_aware
            set spread [spread_of_new 300 10000]
            foreach count $spread {assert_range $count 80 120}
            r numaconfig set strategy local_first
        }

        test {deleting half, then allocating, harms no value that lives} {
            r flushall
            expr {srand(7)}
            set client [redis_deferring_client]
            for {set i 0} {$i < 4000} {incr i} {
                set length($i) [expr {int(rand() * 600)}]
                $client numa.set k$i $i:[string repeat v $length($i)] node [expr {$i % 3}]
            }
            for {set i 1} {$i < 4000} {incr i 2} {$client del k$i}
            for {set i 0} {$i < 4000} {incr i} {
                $client numa.set n$i [string repeat w [expr {int(rand() * 600)}]]
            }
            for {set i 0} {$i < 10000} {incr i} {$client read}
            for {set i 0} {$i < 4000} {incr i 2} {$client numa.get k$i}
            for {set i 0} {$i < 4000} {incr i 2} {
                assert_equal $i:[string repeat v $length($i)] [$client read]
            }
            $client close
            assert_equal 0 [numa_info numa_pool_faults]
        }

        test {a block goes back to the pool of its own node} {
            r flushall
            assert_equal 0 [numa_info numa_node1_used_bytes]
            for {set i 0} {$i < 500} {incr i} {
                r numa.set k$i [string repeat v 1000] node [expr {$i % 3}]
            }
            set used {}
            foreach node {0 1 2} {lappend used [numa_info numa_node${node}_used_bytes]}
            # From 0 to 1 and back, on to 2, overwritten, deleted, flushed behind our back.
            for {set i 0} {$i < 500} {incr i} {
                set home [expr {$i % 3}]
                r numamigrate key k$i [expr {($home + 1) % 3}]
                r numamigrate key k$i $home
            }
            foreach node {0 1 2} before $used {
                assert_equal $before [numa_info numa_node${node}_used_bytes]
            }
            for {set i 0} {$i < 500} {incr i} {r numamigrate key k$i 2}
            assert_equal {0 0} [list [numa_info numa_node0_used_bytes] \
                [numa_info numa_node1_used_bytes]]
            assert_equal [expr [join $used +]] [numa_info numa_node2_used_bytes]
            r flushall async
            numa_wait 5 {[numa_info numa_node2_used_bytes] == 0} "the flush in the background"
            assert_equal 0 [numa_info numa_pool_faults]
        }

        test {a migration of a whole database ends well, with other databases in use} {
            foreach db {0 9 15} {
                r select $db
                for {set i 0} {$i < 200} {incr i} {r numa.set k$i v$i node 0}
                r rpush native a
            }
            r select 15
            assert_equal {OK} [r numamigrate db 2]
            wait_for_pass
            assert_equal 2 [numa_node_of k199]
            assert_equal v199 [r numa.get k199]
            assert_equal 0 [status_of last_pass_failed]
            r select 0
            assert_equal 0 [numa_node_of k199]
            r select 9
            assert_equal {PONG} [r ping]
        }

        test {an unknown strategy name is an error, and the strategy stays} {
            r numaconfig set strategy weighted
            assert_error {ERR Unknown strategy name: localfirst} {
                r numaconfig set strategy localfirst
            }
            assert_match {strategy weighted *} [r numaconfig get]
            r numaconfig set strategy local_first
        }

        test {an unknown strategy name refuses the load} {
            assert_match {*Unknown strategy name: localfirst*} \
                [numa_refused_start "[numa_two_nodes] numa-default-strategy localfirst"]
        }

        test {min_allocation_size 0 does not send everything to another node} {
            r numaconfig set min_allocation_size 0
            foreach policy {cxl_optimized local_first} {
                r numaconfig set strategy $policy
                assert_equal {20 0 0} [spread_of_new 20 5000] $policy
            }
            r numaconfig set min_allocation_size 1024
        }
    }

    start_numa_server [numa_two_nodes] {} {
        test {automatic moves move bytes, not only counters} {
            for {set i 0} {$i < 50} {incr i} {r numa.set k$i [string repeat v 1000] node 1}
            set far [numa_info numa_node1_used_bytes]
            for {set round 0} {$round < 50 && [numa_info numa_migrations] < 10} {incr round} {
                for {set i 0} {$i < 10} {incr i} {r numa.get k$i}
                after 100
            }
            # Counts and places are read one after the other: nothing may move meanwhile.
            r numaconfig set enabled no
            set moved 0
            for {set i 0} {$i < 50} {incr i} {
                set physical [numa_pair [r numamigrate info k$i] physical_nodes]
                if {[lindex $physical 0 0] == 0} {incr moved}
            }
            assert_morethan_equal $moved 10
            assert_equal [numa_info numa_migrations] $moved
            assert_equal [numa_info numa_migrated_bytes] [numa_info numa_node0_used_bytes]
            assert_equal [expr {$far - [numa_info numa_migrated_bytes]}] \
                [numa_info numa_node1_used_bytes]
            r numaconfig set enabled yes
        }
    }

    start_numa_server "[numa_two_nodes 67108864 536870912] $::still" {overrides {save ""}} {
        test {no scan freezes the server: with 100,000 keys a pass and the walk keep replies quick} {
            set client [redis_deferring_client]
            for {set from 0} {$from < 100000} {incr from 1000} {
                for {set i $from} {$i < $from + 1000} {incr i} {
                    $client numa.set key:$i [string repeat v 100] node 1
                }
                for {set i 0} {$i < 1000} {incr i} {$client read}
            }
            $client close
            r numaconfig resetstat
            r numamigrate db 0
            set worst 0
            for {set i 0} {$i < 300} {incr i} {
                set begun [clock microseconds]
                r ping
                set worst [expr {max($worst, [clock microseconds] - $begun)}]
                after 3
            }
            # The module's own count is of CPU time, so what else the machine does is not in it.
            assert_lessthan [numa_info numa_tick_usec_max] 10000
            assert_lessthan $worst 500000
            catch {r numamigrate cancel}
        }
    }
}
