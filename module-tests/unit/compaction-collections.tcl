# Compaction of collections: what a random half of their fields, members and elements left goes
# back, and nothing else changes.

source [file join [file dirname [info script]] .. support numa.tcl]

# Bytes of the pool, live and in slabs.
proc live {} {
    return [expr {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes]}]
}

proc held {} {
    return [expr {[numa_info numa_node0_held_bytes] + [numa_info numa_node1_held_bytes]}]
}

# The entry of that number: no two are of one order or one size.
proc entry {number} {
    set mixed [expr {($number * 2654435761) & 0xffffffff}]
    return [format %08x $mixed][string repeat e [expr {$number % 60}]]
}

# Half of the numbers, by no pattern.
proc stays {number} {
    return [expr {(($number * 40503) >> 7) & 1}]
}

# An element of a list: one of 32 that stay, or of 32 that go.
proc element {number stays} {
    return [expr {$stays ? {s} : {g}}]:[expr {$number % 32}]:[string repeat e 40]
}

# Runs `<command> <key> <words of 250 entries>` for the numbers that `which` picks.
proc each_batch {key command which words} {
    set batch {}
    for {set number 0} {$number < 30000} {incr number} {
        if {[expr $which]} {lappend batch {*}[eval $words]}
        if {$number % 250 == 249 && [llength $batch]} {
            r $command $key {*}$batch
            set batch {}
        }
    }
}

proc fill {type key which} {
    switch $type {
        hash {each_batch $key numa.hset $which {list [entry $number] [entry [expr {$number + 7}]]}}
        set {each_batch $key numa.sadd $which {list [entry $number]}}
        zset {each_batch $key numa.zadd $which {list [expr {$number * 77 % 9973}] [entry $number]}}
        list {each_batch $key numa.rpush $which {list [element $number [stays $number]]}}
    }
}

proc halve {type key} {
    switch $type {
        hash {each_batch $key numa.hdel {![stays $number]} {list [entry $number]}}
        set {each_batch $key numa.srem {![stays $number]} {list [entry $number]}}
        zset {each_batch $key numa.zrem {![stays $number]} {list [entry $number]}}
        list {for {set i 0} {$i < 32} {incr i} {r numa.lrem $key 0 [element $i 0]}}
    }
}

# A tick may take what it needs: the test shall not wait for two percent of a thread.
set arguments [numa_args {numa-cpu-share 10 numa-composite-lru-auto-migrate-enabled no}]
foreach type {hash set zset list} {
    start_numa_server $arguments {overrides {save {} activedefrag no}} {
        test "a $type gives back what a random half of it took" {
            # Another value holds the server's own share of used_memory still.
            fill $type control {[stays $number]}
            set control [r memory usage control]
            set alone [held]
            set before [numa_used]
            fill $type value 1
            set grown [expr {[numa_used] - $before}]
            set full [held]
            halve $type value
            set digest [r debug digest-value value]
            set dirty [s rdb_changes_since_last_save]
            for {set round 0} {$round < 3} {incr round} {
                set rounds [numa_info numa_compactions]
                r numa compact
                numa_wait 60 {[numa_info numa_compactions] > $rounds} {a round of compaction}
            }
            assert {[numa_info numa_compacted_bytes] > 0}
            assert_equal $digest [r debug digest-value value]
            assert_equal $dirty [s rdb_changes_since_last_save]
            # What it takes is what it would had it only ever held the rest ...
            assert_lessthan [r memory usage value] [expr {$control * 1.10}]
            # ... the server counts it so ...
            assert_lessthan [expr {[numa_used] - $before}] [expr {$control * 1.10 + 200000}]
            assert_morethan $grown [expr {$control * 1.5}]
            # ... and of the slabs that it filled nearly half are free for others.
            assert_lessthan [held] [expr {$alone + ($full - $alone) * 0.75}]
            assert_equal 0 [numa_info numa_pool_faults]
        }

        test "a $type under way to another node is compacted as well" {
            r numamigrate key value 1
            r numa compact
            for {set i 0} {$i < 50} {incr i} {fill $type value {$number % 1000 == 999}}
            numa_wait 60 {[numa_pair [r numa status] compaction] eq {none}} {compaction to rest}
            numa_wait 60 {[numa_pair [r numa status] values_under_way] == 0} {the move to end}
            assert_equal 1 [numa_node_of value]
            r debug reload
            assert_equal 0 [numa_info numa_panics_caught]
            r del value control
            numa_wait 20 {[live] == 0} {all blocks back}
        }
    }
}
