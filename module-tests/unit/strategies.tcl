source [file join [file dirname [info script]] .. support numa.tcl]

# The built-in strategies besides composite-lru: benefit-cost and balance.

proc slot {number field} {
    return [numa_pair [r numa strategy status $number] $field]
}

start_numa_server {} {overrides {save ""}} {
    test {benefit-cost in place of composite-lru brings home what is asked for} {
        assert_equal OK [r numa strategy slot 1 benefit-cost]
        assert_equal {benefit-cost high 1000 {}} \
            [list [slot 1 name] [slot 1 priority] [slot 1 interval_ms] [slot 1 module]]
        for {set i 0} {$i < 20} {incr i} {r numa.set k$i [string repeat v 500] node 1}
        numa_wait 60 {[assert_poured 1000 [numa_pour 0 1000 "NUMA.GET k3"]] eq {} &&
            [numa_node_of k3] == 0} "the hot key to come home"
        assert {[slot 1 moves] >= 1}
        assert_equal {0 {}} [list [slot 1 failures] [slot 1 stopped]]
    }

    test {PLAN and SCAN go by the strategy in slot 1} {
        assert_equal OK [r numa strategy disable 1]
        r numa.set late [string repeat v 500] node 1
        assert_poured 2000 [numa_pour 0 2000 "NUMA.GET late"]
        # A pass goes on where the walk over the keys stands, up to its end.
        numa_wait 20 {[lsearch [lmap row [r numa plan count 1000] {numa_pair $row key}] late] >= 0} \
            "a plan with the key"
        assert_equal 1 [numa_node_of late]
        numa_wait 20 {[numa_pair [r numamigrate scan count 1000] migrated] >= 1} "a pass to move it"
        assert_equal 0 [numa_node_of late]
    }
}

start_numa_server {numa-simulate 0:67108864:80,1:67108864:250:cpuless,2:67108864:250:cpuless rebalance-interval 100000} {overrides {save ""}} {
    test {balance evens out nodes of like latency} {
        for {set i 0} {$i < 400} {incr i} {r numa.set k$i [string repeat v 1000] node 1}
        for {set i 0} {$i < 50} {incr i} {r numa.set home$i [string repeat v 1000]}
        after 300
        assert_equal 400 [numa_info numa_node1_keys]
        assert_equal OK [r numa strategy slot 3 balance]
        numa_wait 60 {[numa_info numa_node2_keys] >= 190} "the second far node to take its share"
        assert {[numa_info numa_node2_keys] <= 210}
        assert_equal 50 [numa_info numa_node0_keys]
        assert {[numa_pair [r numamigrate stats] moved_balance] >= 190}
    }

    test {below the threshold it rests} {
        set moves [slot 3 moves]
        for {set i 0} {$i < 40} {incr i} {r numa.set more$i [string repeat v 1000] node 1}
        after 500
        assert_equal $moves [slot 3 moves]
        assert_equal {0 {}} [list [slot 3 failures] [slot 3 stopped]]
    }

    test {auto_rebalance no leaves all where it is} {
        r numaconfig set auto_rebalance no
        for {set i 0} {$i < 1200} {incr i} {r numa.set other$i [string repeat v 1000] node 1}
        set moves [slot 3 moves]
        after 500
        assert_equal $moves [slot 3 moves]
        r numaconfig set auto_rebalance yes
        numa_wait 60 {[slot 3 moves] > $moves} "it to go on"
    }
}
