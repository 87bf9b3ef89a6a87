# The same random commands of every stock type to a server with the module, whose native keys are
# moved to and fro meanwhile, and to a stock one: they must answer the same and hold the same, keys,
# encodings and times to live.
#
# The commands follow from one seed; NUMA_TEST_SEED sets another. NUMA_TEST_SECONDS is how long the
# servers are compared.
source [file join [file dirname [info script]] .. support numa.tcl]

set seed 20241105
if {[info exists ::env(NUMA_TEST_SEED)]} {set seed $::env(NUMA_TEST_SEED)}
set seconds 15
if {[info exists ::env(NUMA_TEST_SECONDS)]} {set seconds $::env(NUMA_TEST_SECONDS)}
# Keys of each type; their names begin with its first letter.
set keys_each 12

proc upto {max} {expr {int(rand() * $max)}}
proc pick {list} {lindex $list [upto [llength $list]]}

# Short and long words, numbers, bytes of any kind: what decides about encodings.
proc any_text {} {
    switch [upto 6] {
        0 {return [upto 100]}
        1 {return [expr {int(rand() * 1e15) - 500000000000000}]}
        2 {return "member [upto 300]"}
        3 {return [string repeat [pick {a b c}] [upto 90]]}
        4 {return [binary format I [upto 1000000]]}
        5 {return [string repeat long [upto 400]]}
    }
}

proc texts {command most} {
    for {set left [upto $most]} {$left >= 0} {incr left -1} {lappend command [any_text]}
    return $command
}

# A key of a type; now and then one of another.
proc key {type} {
    if {[upto 60] == 0} {set type [pick {s l e z h x}]}
    return $type:[upto $::keys_each]
}

proc string_command {} {
    set key [key s]
    switch [upto 9] {
        0 - 1 - 2 {return [list set $key [any_text]]}
        3 {return [list append $key [any_text]]}
        4 {return [list setrange $key [upto 200] [any_text]]}
        5 {return [list incrby $key [upto 50]]}
        6 {return [list getset $key [any_text]]}
        7 {return [list setbit $key [upto 2000] [upto 2]]}
        8 {return [list bitop [pick {and or xor}] $key [key s] [key s]]}
    }
}

proc list_command {} {
    set key [key l]
    switch [upto 8] {
        0 - 1 {return [texts [list rpush $key] 30]}
        2 {return [texts [list lpush $key] 30]}
        3 {return [list lpop $key [upto 20]]}
        4 {return [list ltrim $key [upto 5] [expr {-1 - [upto 5]}]]}
        5 {return [list lset $key [upto 40] [any_text]]}
        6 {return [list linsert $key before [any_text] [any_text]]}
        7 {return [list lmove $key [key l] left right]}
    }
}

proc set_command {} {
    set key [key e]
    switch [upto 7] {
        0 - 1 {return [texts [list sadd $key] 30]}
        2 {return [list sadd $key [upto 1000] [upto 100000] [upto 10]]}
        3 {return [texts [list srem $key] 20]}
        4 {return [list smove $key [key e] [any_text]]}
        5 {return [list sunionstore $key [key e] [key e]]}
        6 {return [list sinterstore $key [key e] [key e]]}
    }
}

proc zset_command {} {
    set key [key z]
    switch [upto 6] {
        0 - 1 {
            set command [list zadd $key]
            for {set left [upto 30]} {$left >= 0} {incr left -1} {
                lappend command [upto 1000] [any_text]
            }
            return $command
        }
        2 {return [list zincrby $key [upto 30] [any_text]]}
        3 {return [list zremrangebyrank $key 0 [upto 6]]}
        4 {return [list zpopmax $key [upto 5]]}
        5 {return [list zunionstore $key 2 [key z] [key z]]}
    }
}

proc hash_command {} {
    set key [key h]
    switch [upto 5] {
        0 - 1 {
            set command [list hset $key]
            for {set left [upto 30]} {$left >= 0} {incr left -1} {
                lappend command "field [upto 200]" [any_text]
            }
            return $command
        }
        2 {return [list hdel $key "field [upto 200]" "field [upto 200]"]}
        3 {return [list hincrby $key "count [upto 5]" [upto 100]]}
        4 {return [list hsetnx $key "field [upto 300]" [any_text]]}
    }
}

# Ids are given: the server's own are its time.
proc stream_command {} {
    set key [key x]
    switch [upto 5] {
        0 - 1 {return [list xadd $key [incr ::stream_id]-0 field [any_text] other [any_text]]}
        2 {return [list xtrim $key maxlen [upto 60]]}
        3 {return [list xdel $key [upto [expr {$::stream_id + 1}]]-0]}
        4 {return [list xgroup create $key group[upto 3] 0 mkstream]}
    }
}

# What makes keys go, come, change their names and their times.
proc any_key_command {} {
    set type [pick {s l e z h x}]
    set key [key $type]
    switch [upto 8] {
        0 {return [list del $key]}
        1 {return [list unlink $key]}
        2 {return [list rename $key [key $type]]}
        3 {return [list copy $key [key $type] replace]}
        4 {return [list pexpireat $key [expr {$::far_moment + [upto 1000000]}]]}
        5 {return [list persist $key]}
        6 {return [list type $key]}
        7 {return [list move $key 10]}
    }
}

proc any_command {} {
    return [[pick {
        string_command list_command set_command zset_command hash_command stream_command
        string_command list_command set_command zset_command hash_command stream_command
        any_key_command
    }]]
}

proc answers {client commands} {
    foreach words $commands {$client {*}$words}
    set answers {}
    foreach words $commands {
        catch {$client read} answer
        lappend answers $answer
    }
    return $answers
}

# Every key in turn is sent to the other node; how many went.
proc stir {} {
    set moved 0
    foreach node {0 1} {
        set keys {}
        foreach key [r keys *] {if {[upto 2]} {lappend keys $key}}
        if {[llength $keys] == 0} continue
        set told [r numamigrate keys $node {*}$keys]
        assert_equal [llength $keys] [expr {
            [numa_pair $told moved] + [numa_pair $told skipped] + [numa_pair $told failed]}]
        incr moved [numa_pair $told moved]
    }
    return $moved
}

# What a client sees of each key, by name.
proc seen {level} {
    set seen {}
    foreach key [lsort [r $level keys *]] {
        set until [r $level pttl $key]
        if {$until > 0} {set until [expr {($until + [clock milliseconds]) / 10000}]}
        lappend seen $key [r $level type $key] [r $level object encoding $key] $until
    }
    return $seen
}

# The two lists side by side, apart from a moment that fell on both sides of ten seconds.
proc assert_seen {mine stock when} {
    assert_equal [llength $mine] [llength $stock] $when
    foreach {key type encoding until} $mine {k t e u} $stock {
        assert_equal [list $key $type $encoding] [list $k $t $e] $when
        assert {abs($until - $u) <= 1}
    }
}

start_server {} {
    start_numa_server [numa_args {numa-native-keys observe}] {} {
        test "moved native keys answer and hold what stock ones do" {
            expr {srand($seed)}
            set ::keys_each $keys_each
            set ::stream_id 0
            set ::far_moment [expr {[clock milliseconds] + 3600000}]
            set stock [redis_deferring_client -1]
            set mine [redis_deferring_client]
            set until [expr {[clock seconds] + $seconds}]
            set moves 0
            for {set batch 0} {$batch < 5 || [clock seconds] < $until} {incr batch} {
                set when "seed $seed, batch $batch"
                set next {}
                for {set i 0} {$i < 200} {incr i} {lappend next [any_command]}
                set theirs [answers $stock $next]
                foreach words $next one [answers $mine $next] other $theirs {
                    if {$one ne $other} {fail "$when: $words: $one, stock $other"}
                }
                incr moves [stir]
                assert_equal [r -1 debug digest] [r debug digest] $when
                assert_seen [seen 0] [seen -1] $when
            }
            $stock close
            $mine close
            assert {$moves > 10 * $batch}
            assert_equal 0 [numa_info numa_panics_caught]
        }
    }
}
