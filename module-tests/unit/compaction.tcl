# Compaction: what a random half of the values left goes back to the machine, and no client notices.

source [file join [file dirname [info script]] .. support numa.tcl]

proc resident {} {
    return [s used_memory_rss]
}

# Deletes a random half of key:0 to key:<count - 1>; the same half for the same seed.
proc delete_half {count seed} {
    expr {srand($seed)}
    set gone {}
    for {set i 0} {$i < $count} {incr i} {
        if {rand() < 0.5} {lappend gone key:$i}
        if {[llength $gone] == 500} {
            r del {*}$gone
            set gone {}
        }
    }
    if {[llength $gone]} {r del {*}$gone}
}

proc compactions {} {
    return [numa_info numa_compactions]
}

# The server's own share of the memory must not hide that of the values.
start_numa_server [numa_two_nodes 268435456 268435456] {overrides {save {} activedefrag no}} {
    test {deleting half of the values at random gives their memory back} {
        set before [resident]
        assert_poured 150000 [numa_pour 0 150000 --bytes 480 "numa.set %k %v"]
        set full [expr {[resident] - $before}]
        delete_half 150000 7
        set digest [r debug digest]
        # 500 of some 600 bytes a key are the value's.
        numa_wait 120 {[resident] - $before < $full * 75 / 100} {memory to come back}
        numa_wait 120 {[compactions] >= 1} {the round's end}
        assert {[numa_info numa_compacted_values] > 1000}
        assert_equal $digest [r debug digest]
    }

    test {what is live is counted as it was} {
        set keys [r dbsize]
        set used [expr {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes]}]
        assert_equal $keys [expr {[numa_info numa_node0_keys] + [numa_info numa_node1_keys]}]
        assert_equal [expr {$keys * 496}] $used
    }
}

start_numa_server [numa_args {numa-composite-lru-auto-migrate-enabled no}] {overrides {save {} notify-keyspace-events KEA}} {
    test {NUMA COMPACT makes values anew and nobody can tell} {
        for {set i 0} {$i < 4000} {incr i} {
            r numa.set key:$i [string repeat v 480] node [expr {$i % 2}]
        }
        delete_half 4000 3
        r numa.set kept [string repeat k 480] node 1 ex 1000
        r numa.get kept
        set accesses [numa_pair [r numamigrate info kept] access_count]
        set nodes [list [numa_info numa_node0_keys] [numa_info numa_node1_keys]]
        set digest [r debug digest]
        set dirty [s rdb_changes_since_last_save]
        set listener [redis_deferring_client]
        $listener psubscribe __key*
        $listener read
        set rounds [compactions]
        assert_equal OK [r numa compact]
        numa_wait 60 {[compactions] > $rounds} {a round of compaction}
        assert {[numa_info numa_compacted_values] > 100}
        assert_equal $digest [r debug digest]
        assert_equal $dirty [s rdb_changes_since_last_save]
        assert_equal $nodes [list [numa_info numa_node0_keys] [numa_info numa_node1_keys]]
        assert_equal $accesses [numa_pair [r numamigrate info kept] access_count]
        assert_range [r ttl kept] 900 1000
        r publish __key_end done
        assert_match {pmessage * __key_end done} [$listener read]
        $listener close
    }

    test {STATUS tells what compaction does} {
        numa_wait 60 {[numa_pair [r numa status] compaction] eq {none}} {compaction to rest}
        assert_equal [compactions] [numa_pair [r numa status] compactions]
    }

    test {a second round finds little to move} {
        set moved [numa_info numa_compacted_values]
        set rounds [compactions]
        r numa compact
        numa_wait 60 {[compactions] > $rounds} {another round}
        assert_lessthan [expr {[numa_info numa_compacted_values] - $moved}] 100
    }

    test {COMPACT takes no words} {
        assert_error {*NUMA HELP*} {r numa compact now}
    }
}

start_numa_server [numa_args {numa-admin-commands no}] {} {
    test {COMPACT is an administrator's command} {
        assert_error {*admin*} {r numa compact}
    }
}
