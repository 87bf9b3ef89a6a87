# Each hash command against its NUMA twin; see support/twins.tcl.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support twins.tcl]

set ::twins_plain {del unlink rename renamenx copy exists type persist pexpire touch lpush set}

# The order of a hash is nobody's business, and two dice fall as they like.
proc twins_normal {words reply} {
    lassign $reply kind value
    if {$kind eq {error}} {return $reply}
    switch [string tolower [lindex $words 0]] {
        hkeys - hvals {return [lsort $value]}
        hgetall {return [sorted_pairs $value]}
        hscan {return [list [lindex $value 0] [sorted_pairs [lindex $value 1]]]}
        hrandfield {if {[llength $words] > 2} {return [llength $value]}; return {}}
    }
    return $reply
}

proc sorted_pairs {flat} {
    set pairs {}
    foreach {field value} $flat {lappend pairs [list $field $value]}
    return [lsort $pairs]
}

proc any_field {} {
    switch [upto 12] {
        0 {return {}}
        1 {return [any_bytes 30]}
        2 {return [string repeat [pick {ab xyz \x00}] [upto 60]]}
        3 - 4 - 5 {return f:[upto 400]}
        default {return [pick {a b c d e foo bar}]}
    }
}

proc any_number {} {
    switch [upto 8] {
        0 {return [pick {9223372036854775807 -9223372036854775808 9223372036854775808}]}
        1 {return [pick {abc {} 1.5 { 1} 01 +1 -0 1e3}]}
        default {return [expr {[upto 200] - 100}]}
    }
}

proc any_float {} {
    switch [upto 8] {
        0 {return [pick {inf -inf nan {} abc {1 } 1e5000 0x10 1.1.1}]}
        1 {return [pick {0.1 1e17 -1e17 3.0e3 1e-20 9007199254740993}]}
        default {return [expr {[upto 2000] / 8.0 - 100}]}
    }
}

proc any_value {} {
    switch [upto 10] {
        0 {return {}}
        1 {return [any_bytes 90]}
        2 {return [string repeat [pick {ab q \x00}] [upto 900]]}
        3 - 4 - 5 {return [any_number]}
        6 {return [any_float]}
        default {return [pick {x y hello 10 1.5}]}
    }
}

proc any_fields {} {
    set fields [list [any_field]]
    for {set more [upto 5]} {$more > 0} {incr more -1} {lappend fields [any_field]}
    return $fields
}

proc any_pairs {} {
    set pairs [list [any_field] [any_value]]
    set more [expr {[chance 3] ? [upto 300] : [upto 4]}]
    for {} {$more > 0} {incr more -1} {lappend pairs [any_field] [any_value]}
    return $pairs
}

proc any_scan {key} {
    # With a cursor of its own each side would walk its own way: all in one call.
    set words [list hscan $key [pick {0 0 0 0 abc {} -x 1x}] [any_case count] [pick {100000 0 -1 abc}]]
    if {[chance 30]} {lappend words [any_case match] [pick {* f:* [ab] ?* {}}]}
    if {[chance 3]} {lappend words [pick {bogus match count type}]}
    return $words
}

proc any_random {key} {
    set words [list hrandfield $key]
    if {[chance 80]} {lappend words [pick {0 1 2 5 100000 -1 -7 abc {} -9223372036854775808}]}
    if {[chance 40]} {lappend words [any_case [pick {withvalues withvalues withvalues bogus}]]}
    return $words
}

proc any_operation {} {
    set key [any_key]
    with_wrong_arity [switch [upto 24] {
        0 - 1 - 2 {concat [pick {hset hmset}] $key [any_pairs]}
        3 {list hsetnx $key [any_field] [any_value]}
        4 - 5 {concat hdel $key [any_fields]}
        6 - 7 {list hincrby $key [any_field] [any_number]}
        8 - 9 {list hincrbyfloat $key [any_field] [any_float]}
        10 - 11 {list hget $key [any_field]}
        12 {concat hmget $key [any_fields]}
        13 {list hlen $key}
        14 {list hstrlen $key [any_field]}
        15 {list hexists $key [any_field]}
        16 - 17 {list [pick {hkeys hvals hgetall}] $key}
        18 - 19 {any_scan $key}
        20 - 21 {any_random $key}
        22 {list hset $key [any_field] [any_value] [any_field]}
        23 {pick [list [list del $key] [list rename $key [any_key]] [list exists $key] \
            [list copy $key [any_key] replace] [list set $key x] [list lpush $key x] \
            [list pexpire $key 7000000] [list persist $key] [list touch $key] [list unlink $key]]}
    }]
}

tags {hashes slow} {
    start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
        test {hash commands and their NUMA twins answer the same, whatever comes} {
            compare_operations numa-hash hash {hgetall <key>}
        }

        test {and nothing was caught or lost on the way} {
            assert_all_blocks_back
        }
    }
}
