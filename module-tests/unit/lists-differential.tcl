# Each list command against its NUMA twin; see support/twins.tcl.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support twins.tcl]

proc any_element {} {
    switch [upto 12] {
        0 {return {}}
        1 {return [any_bytes 30]}
        2 {return [string repeat [pick {ab xyz \x00}] [upto 400]]}
        3 {return [string repeat q [upto 3000]]}
        4 - 5 {return [upto 1000]}
        default {return [pick {a b c d e foo bar}]}
    }
}

proc any_elements {} {
    set elements [list [any_element]]
    for {set more [upto 6]} {$more > 0} {incr more -1} {lappend elements [any_element]}
    if {[chance 2]} {
        for {set more [upto 400]} {$more > 0} {incr more -1} {lappend elements [any_element]}
    }
    return $elements
}

proc any_index {} {
    switch [upto 20] {
        0 {return [pick {abc {} 1.5 9223372036854775808 { 1} 01}]}
        1 {return [pick {9223372036854775807 -9223372036854775808 4294967296 -4294967297}]}
        2 - 3 {return [expr {[upto 400] - 200}]}
        default {return [expr {[upto 24] - 12}]}
    }
}

proc any_count {} {pick [list 0 1 2 -1 -2 3 10 -10 [any_index]]}

proc any_end {} {pick [list [any_case left] [any_case right] [any_case left] middle]}

proc any_lpos {key} {
    set words [list lpos $key [pick {a b c foo {} 7}]]
    if {[chance 40]} {lappend words [any_case rank] [any_count]}
    if {[chance 40]} {lappend words [any_case count] [any_count]}
    if {[chance 40]} {lappend words [any_case maxlen] [any_count]}
    if {[chance 3]} {lappend words bogus}
    return $words
}

proc any_operation {} {
    set key [any_key]
    with_wrong_arity [switch [upto 26] {
        0 - 1 - 2 - 3 {concat [pick {lpush rpush}] $key [any_elements]}
        4 {concat [pick {lpushx rpushx}] $key [any_elements]}
        5 - 6 {list [pick {lpop rpop}] $key}
        7 {list [pick {lpop rpop}] $key [any_count]}
        8 {list llen $key}
        9 - 10 {list lindex $key [any_index]}
        11 - 12 {list lset $key [any_index] [any_element]}
        13 - 14 {list lrange $key [any_index] [any_index]}
        15 {list ltrim $key [any_index] [any_index]}
        16 {list ltrim $key [upto 3] [expr {-[upto 4]}]}
        17 - 18 {list lrem $key [any_count] [pick {a b c foo {} 7}]}
        19 - 20 {list linsert $key [pick {before AFTER Before after x}] [pick {a b c {} z}] \
            [any_element]}
        21 {any_lpos $key}
        22 {list lmove $key [any_key] [any_end] [any_end]}
        23 {list rpoplpush $key [any_key]}
        24 {pick [list [list blpop $key [any_key] 0.01] [list brpop $key 0.01] \
            [list blmove $key [any_key] left right 0.01] [list brpoplpush $key [any_key] 0.01] \
            [list blpop $key [pick {-1 abc {} 1e3x}]] [list brpoplpush $key $key -0.1]]}
        25 {pick [list [list del $key] [list rename $key [any_key]] [list exists $key] \
            [list copy $key [any_key] replace] [list set $key x] [list sadd $key x] \
            [list pexpire $key 7000000] [list persist $key] [list touch $key] [list unlink $key]]}
    }]
}

tags {lists slow} {
    start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
        test {list commands and their NUMA twins answer the same, whatever comes} {
            compare_operations numa-list list {lrange <key> 0 -1}
        }

        test {and nothing was caught or lost on the way} {
            assert_all_blocks_back
        }
    }
}
