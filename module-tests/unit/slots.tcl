source [file join [file dirname [info script]] .. support numa.tcl]

# NUMA STRATEGY and NUMA PLAN: the slots of the runner, by hand.

proc slot {number field} {
    return [numa_pair [r numa strategy status $number] $field]
}

start_numa_server {} {overrides {save ""}} {
    test {STRATEGY LIST shows the slots that are filled} {
        set rows [r numa strategy list]
        assert_equal 2 [llength $rows]
        assert_equal {0 no-op} [list [numa_pair [lindex $rows 0] slot] [numa_pair [lindex $rows 0] name]]
        assert_equal {1 composite-lru} \
            [list [numa_pair [lindex $rows 1] slot] [numa_pair [lindex $rows 1] name]]
        assert_equal {low high} [list [slot 0 priority] [slot 1 priority]]
        assert_equal {1000 1000} [list [slot 0 interval_ms] [slot 1 interval_ms]]
    }

    test {STRATEGY HELP, to which its errors point, names every form} {
        assert_error {ERR *Try NUMA STRATEGY HELP.} {r numa strategy frob}
        set help [join [r numa strategy help] "\n"]
        foreach form {LIST STATUS SLOT ENABLE INTERVAL PRIORITY GET SET HELP} {
            assert_match "*\n$form*" $help
        }
    }

    test {STRATEGY INTERVAL and PRIORITY change a slot} {
        assert_equal OK [r numa strategy interval 0 20]
        assert_equal OK [r numa strategy priority 0 NORMAL]
        assert_equal {20 normal} [list [slot 0 interval_ms] [slot 0 priority]]
        set before [slot 0 executions]
        numa_wait 10 {[slot 0 executions] > $before + 10} "the slot to run at its new interval"
    }

    test {STRATEGY DISABLE stops a slot, ENABLE lets it run} {
        assert_equal OK [r numa strategy disable 0]
        assert_equal 0 [slot 0 enabled]
        set before [slot 0 executions]
        after 300
        assert_equal $before [slot 0 executions]
        assert_equal OK [r numa strategy enable 0]
        numa_wait 10 {[slot 0 executions] > $before} "the slot to run again"
    }

    test {a hot far key stays while slot 1 is disabled, and comes home when it runs} {
        r numa strategy disable 1
        r numa.set k v node 1
        for {set i 0} {$i < 5} {incr i} {
            assert_poured 1000 [numa_pour 0 1000 "NUMA.GET k"]
            after 50
        }
        assert_equal 1 [numa_node_of k]
        r numa strategy enable 1
        numa_wait 30 {[assert_poured 1000 [numa_pour 0 1000 "NUMA.GET k"]] eq {} &&
            [numa_node_of k] == 0} "the key to come home"
    }

    test {STRATEGY SLOT puts a strategy into a slot, and empties it} {
        assert_error {ERR composite-lru runs in slot 1 already} {
            r numa strategy slot 5 composite-lru
        }
        assert_equal OK [r numa strategy slot 1 composite-lru]
        assert_equal OK [r numa strategy slot 0 none]
        assert_error {ERR Slot 0 is empty} {r numa strategy status 0}
        assert_equal OK [r numa strategy slot 7 No-Op]
        assert_equal {no-op normal 1000} [list [slot 7 name] [slot 7 priority] [slot 7 interval_ms]]
        numa_wait 10 {[slot 7 executions] > 0} "the strategy to run there"
        assert_equal {1 7} [lmap row [r numa strategy list] {numa_pair $row slot}]
    }

    test {STRATEGY: errors name what is wrong, and nothing changes} {
        foreach {error words} {
            {ERR Slot must be between 0 and 15} {status 16}
            {ERR Slot must be between 0 and 15} {enable -1}
            {ERR value is not an integer or out of range} {enable first}
            {ERR Slot 3 is empty} {disable 3}
            {ERR Slot 3 is empty} {slot 3 none}
            {ERR Interval must be between 1 and 86400000 ms} {interval 1 0}
            {ERR value is not an integer or out of range} {interval 1 soon}
            {ERR Priority must be high, normal or low} {priority 1 urgent}
            {ERR Unknown strategy: magic (there is: no-op, composite-lru, benefit-cost, balance, none)} {slot 2 magic}
            {ERR Unknown subcommand or wrong number of arguments for 'nonsense'*} {nonsense}
            {ERR Unknown subcommand or wrong number of arguments for 'status'*} {status}
        } {
            assert_error $error {r numa strategy {*}$words}
        }
        assert_equal {1 7} [lmap row [r numa strategy list] {numa_pair $row slot}]
        assert_equal {1 high 1000} [list [slot 1 enabled] [slot 1 priority] [slot 1 interval_ms]]
    }
}

start_numa_server [numa_args {composite-lru-auto-migrate-enabled no}] {overrides {save ""}} {
    test {PLAN says what a pass would move, and moves nothing} {
        for {set i 0} {$i < 20} {incr i} {r numa.set k$i [string repeat v 500] node 1}
        assert_poured 2000 [numa_pour 0 2000 "NUMA.GET k3"]
        numa_wait 20 {[llength [set plan [r numa plan count 1000]]] > 0} "a plan"
        set first [lindex $plan 0]
        assert_equal k3 [numa_pair $first key]
        assert_equal {0 9} [list [numa_pair $first to] [numa_pair $first db]]
        assert_equal promote [numa_pair $first why]
        assert_equal 1 [numa_node_of k3]
        assert_equal 0 [numa_info numa_migrations]
    }

    test {PLAN: errors} {
        assert_error {ERR COUNT must be positive} {r numa plan count 0}
        assert_error {ERR syntax error} {r numa plan limit 3}
        assert_error {ERR value is not an integer or out of range} {r numa plan count x}
    }
}
