# Big values end: DEL frees them on another thread, and `used_memory` falls before it answers. What the
# module counts as its keys are keys, whatever blocks they have. A look at a huge value asks the kernel
# about a sample of it.
source [file join [file dirname [info script]] .. support numa.tcl]

proc fill {hash zset} {
    r eval {
        for i = 1, 200000 do
            local text = string.format('%016d', i)
            redis.call('numa.hset', KEYS[1], text, text)
            redis.call('numa.zadd', KEYS[2], i, text)
        end
    } 2 $hash $zset
}

proc used_on_all_nodes {} {
    return [expr {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes]
        + [numa_info numa_node2_used_bytes]}]
}

start_numa_server [numa_three_nodes] {overrides {save {}}} {
    test {INFO of a huge value asks the kernel about a part, and says of how much} {
        fill h z
        foreach key {h z} {
            set info [r numamigrate info $key]
            set asked [numa_pair $info physical_asked_bytes]
            assert_lessthan $asked [expr {[numa_pair $info bytes] * 3 / 4}]
            assert_morethan $asked 16384
            lassign [lindex [numa_pair $info physical_nodes] 0] node bytes
            assert_equal $asked $bytes
        }
        r numa.set small x
        set info [r numamigrate info small]
        assert_equal [numa_pair $info bytes] [numa_pair $info physical_asked_bytes]
    }

    test {a big value that is deleted is gone from used_memory at once} {
        foreach key {h z} {
            set usage [r memory usage $key]
            set before [numa_used]
            r del $key
            assert_lessthan [numa_used] [expr {$before - $usage * 9 / 10}]
        }
        numa_wait 20 {[used_on_all_nodes] < 4096} {all blocks back}
    }

    test {eviction stops when a big value has gone} {
        fill h z
        for {set i 0} {$i < 200} {incr i} {r set native:$i x ex 100000}
        r expire h 1000
        r config set maxmemory-policy volatile-ttl
        r config set maxmemory-samples 400
        r config set maxmemory [expr {[numa_used] - 1000000}]
        r set another x
        assert_equal 0 [r exists h]
        assert_equal 203 [r dbsize]
        r config set maxmemory 0
    }

    test {what is counted as keys are keys} {
        r flushall
        numa_wait 20 {[numa_info numa_keys] == 0} {no keys}
        fill h z
        assert_equal 2 [numa_info numa_keys]
        r numa.rpush l a b c
        r copy h h2
        r rename l l2
        r restore z2 0 [r dump z]
        assert_equal 5 [numa_info numa_keys]
        r numa convert l2 native
        assert_equal 4 [numa_info numa_keys]
        r numa convert l2 numa
        r numamigrate key h 2
        assert_equal 5 [numa_info numa_keys]
        r debug reload
        assert_equal 5 [numa_info numa_keys]
        r numa.set z2 overwritten
        assert_equal 5 [numa_info numa_keys]
        r del h2 z2
        r unlink z
        numa_wait 20 {[numa_info numa_keys] == 2} {two keys}
        r flushall
        numa_wait 20 {[numa_info numa_keys] == 0 && [used_on_all_nodes] == 0} {nothing left}
        assert_equal 0 [numa_info numa_panics_caught]
    }
}
