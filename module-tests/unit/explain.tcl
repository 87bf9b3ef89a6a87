source [file join [file dirname [info script]] .. support numa.tcl]

# NUMA EXPLAIN: the reason that it names is the one that holds.

proc why {key} {
    return [numa_pair [r numa explain $key] why]
}

proc next_node {key} {
    return [numa_pair [r numa explain $key] next_node]
}

start_numa_server [numa_args {numa-native-keys observe}] {overrides {save ""}} {
    r numa.set near v
    r numa.set far v node 1

    test {EXPLAIN: a key at home, a far one that is cold} {
        assert_match {at home*} [why near]
        assert_match {far, and *} [why far]
        assert_equal {0 1} [list [next_node near] [next_node far]]
        assert_equal {0 170} [list [numa_pair [r numa explain near] latency_saved_ns] \
            [numa_pair [r numa explain far] latency_saved_ns]]
        assert_equal 1 [numa_pair [r numa explain far] simulated]
    }

    test {EXPLAIN: pinned, switched off, not automatic: the first reason that holds is told} {
        r numaconfig set composite_lru_auto_migrate_enabled no
        assert_match {no strategy moves keys*} [why far]
        r numaconfig set enabled no
        numa_wait 5 {[string match {moves are switched off*} [why far]]} "the switch to be told"
        r numa pin 1 far
        assert_match {pinned to its node*} [why far]
        r numaconfig set enabled yes
        r numaconfig set composite_lru_auto_migrate_enabled yes
        assert_match {pinned to its node*} [why far]
        r numa unpin far
    }

    test {EXPLAIN: benefit follows the heat, cost what moves have taken} {
        r numa.set moved [string repeat v 1000]
        r numamigrate key moved 1
        assert_morethan [numa_pair [r numa explain moved] cost_ns] 0
        # Held far, so that it can grow hot there.
        r numa pin 1 moved
        assert_poured 3000 [numa_pour 0 3000 "NUMA.GET moved"]
        set told [r numa explain moved]
        assert_morethan [numa_pair $told expected_accesses] 0
        assert_equal [numa_pair $told benefit_ns] \
            [expr {[numa_pair $told expected_accesses] * 170}]
        assert_equal 0 [numa_pair [r numa explain near] benefit_ns]
    }

    test {EXPLAIN: native keys, and what of them cannot move} {
        r set number 12345
        r set native [string repeat v 500]
        if {[numa_info numa_native_plane] eq {on}} {
            assert_match {A number has no block*} [why number]
            r setrange big 8000000 x
            assert_match {The value is too big*} [why big]
            assert_match {no strategy moves keys*} [why native]
            assert_equal native [numa_pair [r numa explain native] plane]
        } else {
            assert_error {ERR Key not found*} {r numa explain native}
        }
    }

    test {EXPLAIN is no use of the key, and errors are named} {
        set idle [numa_pair [r numamigrate info near] access_count]
        r numa explain near
        assert_equal $idle [numa_pair [r numamigrate info near] access_count]
        assert_error {ERR Key not found*} {r numa explain none}
        assert_error {ERR Unknown subcommand or wrong number*} {r numa explain}
        assert_equal {k} [r command getkeys numa explain k]
    }
}
