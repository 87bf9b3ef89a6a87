# The INFO section: every documented field is there once, flat, and numeric where it counts.
source [file join [file dirname [info script]] .. support numa.tcl]

# Name and value of each field of the module's section, in order.
proc section {text} {
    set pairs {}
    foreach line [split $text "\n"] {
        set line [string trimright $line "\r"]
        if {[string match {numa_*} $line]} {
            set at [string first : $line]
            lappend pairs [string range $line 0 $at-1] [string range $line $at+1 end]
        }
    }
    return $pairs
}

tags {info} {
    start_numa_server [numa_three_nodes] {} {
        test {every documented field exists, once} {
            set pairs [section [r info numa]]
            set names {}
            foreach {name value} $pairs {lappend names $name}
            assert_equal [llength $names] [llength [lsort -unique $names]]
            set documented {
                numa_nodes numa_home_node numa_simulated numa_degraded numa_degraded_reason
                numa_policy numa_accesses_near numa_accesses_far numa_near_share_values
                numa_near_share_process numa_hot_keys numa_migrations numa_migrated_bytes
                numa_migrations_failed numa_tick_usec_total numa_tick_usec_max numa_hold_usec_max
                numa_native_plane numa_far_keys numa_drift_bytes numa_tracking_bytes
                numa_panics_caught numa_rdb_rejected
            }
            foreach node {0 1 2} {
                foreach bytes {capacity free limit used index verified} {
                    lappend documented numa_node${node}_${bytes}_bytes
                }
                lappend documented numa_node${node}_keys numa_node${node}_fallbacks
            }
            for {set level 0} {$level < 8} {incr level} {
                lappend documented numa_hotness_${level}_keys
            }
            for {set slot 0} {$slot < 16} {incr slot} {
                foreach count {runs moves failures} {lappend documented numa_slot${slot}_$count}
            }
            foreach name $documented {
                if {$name ni $names} {fail "INFO numa has no $name"}
            }
        }

        test {values are numbers but for the few that are words, and hold no colon} {
            set words {numa_degraded_reason numa_policy numa_native_plane numa_charge
                numa_native_reason}
            foreach {name value} [section [r info numa]] {
                if {[string first : $value] >= 0} {fail "$name holds a colon: $value"}
                if {$value eq {}} {fail "$name is empty"}
                if {$name ni $words && ![string is double -strict $value]} {
                    fail "$name is no number: $value"
                }
            }
        }

        test {the section shows under its name, modules and everything, not under plain INFO} {
            foreach section {numa modules everything NUMA} {
                assert_match "*# numa\r\n*numa_nodes:3\r\n*" [r info $section]
            }
            foreach section {default all memory} {
                assert_no_match {*numa_nodes*} [r info $section]
            }
            assert_no_match {*numa_nodes*} [r info]
        }

        test {what is reported follows what is there} {
            assert_equal 3 [numa_info numa_nodes]
            assert_equal 0 [numa_info numa_home_node]
            assert_equal 1 [numa_info numa_simulated]
            assert_equal local_first [numa_info numa_policy]
            assert_equal off [numa_info numa_native_plane]
            assert_equal 268435456 [numa_info numa_node2_capacity_bytes]
            assert_equal 0 [numa_info numa_panics_caught]
            assert_equal 0 [numa_info numa_rdb_rejected]
            r numa.set near value node 0
            r numa.set far [string repeat v 1000] node 2
            r numaconfig resetstat
            for {set i 0} {$i < 3} {incr i} {r numa.get near}
            r numa.get far
            assert_equal 3 [numa_info numa_accesses_near]
            assert_equal 1 [numa_info numa_accesses_far]
            assert_equal 1 [numa_info numa_far_keys]
            assert_equal [numa_pair [r numamigrate info far] bytes] \
                [numa_info numa_node2_used_bytes]
            assert {[numa_info numa_near_share_values] < 0.1}
        }

        test {far keys, near share and counts follow a move} {
            r numamigrate key far 0
            assert_equal 0 [numa_info numa_far_keys]
            assert_equal 1 [numa_info numa_migrations]
            assert {[numa_info numa_near_share_values] == 1}
            assert_equal 0 [numa_info numa_node2_used_bytes]
        }

        test {a refused RESTORE payload is counted, the server stays sound} {
            r numa.set key [string repeat v 100]
            set payload [r dump key]
            catch {r restore other 0 [string replace $payload 12 20 xxxxxxxxx]} error
            assert_match {ERR*} $error
            assert_equal 0 [r exists other]
            assert_equal {OK} [r restore other 0 $payload]
            assert_equal 0 [numa_info numa_panics_caught]
        }

        test {ticks go on, and cost little} {
            set runs [numa_info numa_slot1_runs]
            set total [numa_info numa_tick_usec_total]
            after 2100
            assert_morethan [numa_info numa_slot1_runs] $runs
            assert_morethan_equal [numa_info numa_tick_usec_total] $total
            assert_lessthan [expr {[numa_info numa_tick_usec_total] - $total}] 300000
            assert_equal 0 [numa_info numa_slot0_failures]
        }

        test {verified bytes come from the kernel's answers and cover what is used} {
            for {set i 0} {$i < 100} {incr i} {r numa.set k$i [string repeat v 20000] node 1}
            numa_wait 15 {
                [numa_info numa_node1_verified_bytes] >= [numa_info numa_node1_used_bytes]
            } "the walk over the pool's pages"
            assert_equal 0 [numa_info numa_drift_bytes]
        }
    }

    start_numa_server "numa-simulate 0:64mb:80" {} {
        test {a machine of one node: everything near, nothing to rebalance} {
            assert_equal 1 [numa_info numa_nodes]
            r numa.set key value
            assert_equal 0 [numa_node_of key]
            assert {[numa_info numa_near_share_values] == 1}
            assert_error {ERR Rebalancing needs two nodes; this machine has one} {
                r numaconfig rebalance
            }
            assert_error {ERR Target node 1 out of range (0-0)} {r numamigrate key key 1}
        }
    }
}
