# A big hash and a big set move in slices, while they are read and written.
source [file join [file dirname [info script]] .. support numa.tcl]

start_numa_server [numa_three_nodes] {overrides {save {}}} {
    r numaconfig set composite_lru_auto_migrate_enabled no
    for {set i 0} {$i < 100} {incr i} {
        set fields {}
        set members {}
        for {set j 0} {$j < 1000} {incr j} {
            lappend fields field:[expr {$i * 1000 + $j}] value:$j
            lappend members member:[expr {$i * 1000 + $j}]
        }
        r numa.hset hash {*}$fields
        r numa.sadd set {*}$members
    }

    test {a move goes on by itself, and nothing is lost on the way} {
        set digest [r debug digest]
        foreach key {hash set} {
            assert_equal OK [r numamigrate key $key 2]
            set begun [numa_pair [r numa status] values_under_way]
            for {set i 0} {$i < 50} {incr i} {
                assert_equal value:$i [r numa.hget hash field:$i]
                r numa.hset hash field:$i value:$i
                r numa.srem set member:$i
                r numa.sadd set member:$i
            }
        }
        numa_wait 20 {[numa_pair [r numa status] values_under_way] == 0} {the moves to end}
        foreach key {hash set} {assert_equal 2 [numa_node_of $key]}
        assert_equal 0 [numa_info numa_node0_used_bytes]
        assert_equal $digest [r debug digest]
    }

    test {HSCAN and SSCAN pass every element once} {
        foreach {command key} {numa.hscan hash numa.sscan set} {
            set cursor 0
            set seen {}
            while 1 {
                lassign [r $command $key $cursor count 1000] cursor words
                if {$key eq {hash}} {set words [dict keys $words]}
                lappend seen {*}$words
                if {$cursor == 0} break
            }
            assert_equal 100000 [llength $seen]
            assert_equal 100000 [llength [lsort -unique $seen]]
        }
    }

    test {a million elements would take less than three quarters of stock} {
        r flushall
        foreach side {{} numa.} {
            r eval {
                for i = 0, 19999 do
                    local text = string.format('%016d', i)
                    redis.call(ARGV[1] .. 'hset', 'h' .. ARGV[1], text, text)
                    redis.call(ARGV[1] .. 'sadd', 's' .. ARGV[1], text .. 'x')
                end
            } 0 $side
        }
        foreach key {h s} {
            set stock [r memory usage $key samples 0]
            set ours [r memory usage ${key}numa. samples 0]
            assert_lessthan $ours [expr {$stock * 3 / 4}]
        }
    }
}
