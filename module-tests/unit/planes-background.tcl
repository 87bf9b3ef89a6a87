source [file join [file dirname [info script]] .. support numa.tcl]

# Background passes, HEATMAP and STATUS where keys of both planes lie in one database.

proc status {field} {
    return [numa_pair [r numa status] $field]
}

proc wait_for_pass {} {
    numa_wait 60 {[status pass] eq {none}} "the pass to end"
    assert_equal done [status last_pass_end]
}

# How many of the keys with that prefix lie on a node.
proc count_on {node prefix count} {
    set found 0
    for {set i 0} {$i < $count} {incr i} {
        if {[numa_node_of $prefix$i] == $node} {incr found}
    }
    return $found
}

# Keys of the heat map on a node.
proc mapped_on {node} {
    set keys 0
    foreach row [r numa heatmap] {
        if {[lindex $row 0] == $node} {incr keys [lindex $row 2]}
    }
    return $keys
}

start_numa_server [numa_args {native-keys manage composite-lru-auto-migrate-enabled no}] {overrides {save ""}} {
    if {[numa_info numa_native_plane] eq {on}} {
        for {set i 0} {$i < 300} {incr i} {
            r set native$i [string repeat v 200]
            r numa.set numa$i [string repeat v 200]
        }

        test {PATTERN moves native keys and no others, with progress} {
            assert_equal OK [r numamigrate pattern native* 1]
            wait_for_pass
            assert_equal {300 0} [list [status last_pass_moved] [status last_pass_failed]]
            assert_equal {300 0} [list [count_on 1 native 300] [count_on 1 numa 300]]
        }

        test {DB moves the keys of both planes} {
            assert_equal OK [r numamigrate db 1]
            wait_for_pass
            assert_equal {300 300} [list [count_on 1 native 300] [count_on 1 numa 300]]
            assert_equal [string repeat v 200] [r get native7]
        }

        test {HEATMAP counts the keys of both planes where they lie} {
            numa_wait 60 {[mapped_on 1] == 600} "a whole walk after the pass"
            assert_equal 0 [mapped_on 0]
            assert_equal OK [r numamigrate db 0]
            wait_for_pass
            numa_wait 60 {[mapped_on 0] == 600} "a whole walk after that pass"
            assert_equal 0 [mapped_on 1]
        }

        test {one pass at a time, and CANCEL stops it where it is} {
            assert_poured 20000 [numa_pour 0 20000 "NUMA.SET more:%k %v"]
            r numaconfig set cpu_share 1
            r numaconfig set migrate_rate 1mb
            assert_equal OK [r numamigrate db 1]
            assert_error {ERR *DB 9 to node 1*} {r numamigrate pattern native* 1}
            assert_match {DB 9 to node 1} [status pass]
            assert_equal OK [r numamigrate cancel]
            assert_equal {none cancelled} [list [status pass] [status last_pass_end]]
            assert {[status last_pass_moved] < 20600}
        }
    }
}
