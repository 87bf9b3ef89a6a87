# Native keys moved far and back again and again: nothing is used up, and what watches memory or
# shares it with a child still behaves.
source [file join [file dirname [info script]] .. support numa.tcl]

# A tick may move as much as there is to move, and moves on while a child runs.
set churn "numa-native-keys manage numa-move-during-fork yes numa-cpu-share 50 numa-tick-budget 5000"

# So many keys of each of three types, some with a time to live.
proc churn_fill {count} {
    r debug populate $count string 100
    r eval {
        for i = 1, tonumber(ARGV[1]) do
            redis.call('hset', 'hash:' .. i, 'a', string.rep('x', 40), 'b', i)
            redis.call('rpush', 'list:' .. i, string.rep('y', 30), i, string.rep('z', 30))
            if i % 10 == 0 then redis.call('expire', 'hash:' .. i, 100000) end
        end
    } 0 $count
}

# Sends all keys to a node and waits until the pass is through.
proc churn_to {node} {
    r numamigrate db $node
    numa_wait 60 {[numa_pair [r numa status] pass] eq {none}} "pass to node $node"
    assert_equal 0 [numa_pair [r numa status] last_pass_failed]
}

# A number of MEMORY STATS or of a section of INFO.
proc churn_stat {name} {return [dict get [r memory stats] $name]}
proc churn_info {section name} {
    regexp "$name:(\[0-9\]+)" [r info $section] -> value
    return $value
}

start_numa_server [numa_args $churn] {overrides {save {}}} {
    test {what was moved far and back ten times takes the memory that it took before} {
        churn_fill 4000
        # The first round and a walk make what stays: extents of the arena, tables of the module.
        churn_to 1
        churn_to 0
        set walks [numa_info numa_surveys]
        numa_wait 60 {[numa_info numa_surveys] > $walks + 1} "a walk over all keys"
        set digest [r debug digest]
        r memory purge
        set used [churn_info memory used_memory]
        for {set round 0} {$round < 10} {incr round} {
            churn_to 1
            churn_to 0
        }
        r memory purge
        set after [churn_info memory used_memory]
        assert {$after < $used * 1.03}
        assert_equal $digest [r debug digest]
    }

    test {what lies far is given back to the kernel when it has come home} {
        assert_equal 0 [churn_info {numa} numa_native_outside_bytes]
        numa_wait 30 {
            [r memory purge] eq {OK} && [churn_info numa numa_native_far_bytes] < 4000000
        } "far memory given back"
    }

    test {MEMORY STATS, DOCTOR and USAGE count far values as they count near ones} {
        set near [churn_stat dataset.bytes]
        set one [r memory usage hash:7]
        churn_to 1
        assert_range [churn_stat dataset.bytes] [expr {$near * 97 / 100}] [expr {$near * 103 / 100}]
        assert_equal $one [r memory usage hash:7]
        assert_equal 12000 [churn_stat keys.count]
        assert {[string length [r memory doctor]] > 0}
    }

    test {active defragmentation of far keys loses none of them} {
        set digest [r debug digest]
        if {[catch {r config set activedefrag yes} refused]} {
            assert_match "*not*" $refused
        } else {
            r config set active-defrag-threshold-lower 1
            r config set active-defrag-ignore-bytes 1
            r config set active-defrag-cycle-min 50
            r config set active-defrag-cycle-max 75
            churn_to 0
            churn_to 1
            assert_equal $digest [r debug digest]
            r config set activedefrag no
        }
        assert_equal $digest [r debug digest]
    }

    test {a file that a child wrote while keys were moved holds them all} {
        set digest [r debug digest]
        r config set rdb-key-save-delay 200
        r bgsave
        churn_to 0
        r config set rdb-key-save-delay 0
        waitForBgsave r
        assert_match {*rdb_last_bgsave_status:ok*} [r info persistence]
        r debug reload nosave
        assert_equal $digest [r debug digest]
    }
}
