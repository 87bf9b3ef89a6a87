# Each set command against its NUMA twin; see support/twins.tcl.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support twins.tcl]

set ::twins_plain {del unlink rename renamenx copy exists type persist pexpire touch lpush set}

# The order of a set is nobody's business, and two dice fall as they like.
proc twins_normal {words reply} {
    lassign $reply kind value
    if {$kind eq {error}} {return $reply}
    switch [string tolower [lindex $words 0]] {
        smembers - sinter - sunion - sdiff - spop {return [lsort $value]}
        sscan {return [list [lindex $value 0] [lsort [lindex $value 1]]]}
        srandmember {return [llength $value]}
    }
    return $reply
}

proc any_member {} {
    switch [upto 12] {
        0 {return {}}
        1 {return [any_bytes 30]}
        2 {return [string repeat [pick {ab xyz \x00}] [upto 60]]}
        3 {return [pick {9223372036854775807 -9223372036854775808 01 +1 -0}]}
        4 - 5 - 6 {return [upto 400]}
        default {return [pick {a b c d e foo bar}]}
    }
}

proc any_members {} {
    set members [list [any_member]]
    set more [expr {[chance 3] ? [upto 400] : [upto 5]}]
    for {} {$more > 0} {incr more -1} {lappend members [any_member]}
    return $members
}

proc any_keys {} {
    set keys [list [any_key]]
    for {set more [upto 3]} {$more > 0} {incr more -1} {lappend keys [any_key]}
    return $keys
}

proc any_scan {key} {
    # With a cursor of its own each side would walk its own way: all in one call.
    set words [list sscan $key [pick {0 0 0 0 abc {} -x 1x}] [any_case count] [pick {100000 0 -1 abc}]]
    if {[chance 30]} {lappend words [any_case match] [pick {* 1* [ab] ?* {}}]}
    if {[chance 3]} {lappend words [pick {bogus match count type}]}
    return $words
}

# Which members go is the dice's, so only what leaves nothing to them is compared.
proc any_pop {key} {list spop $key [pick {100000 0 -1 abc {} 9223372036854775808}]}

proc any_operation {} {
    set key [any_key]
    with_wrong_arity [switch [upto 24] {
        0 - 1 - 2 - 3 {concat sadd $key [any_members]}
        4 - 5 - 6 {concat srem $key [any_members]}
        7 {list smove $key [any_key] [any_member]}
        8 - 9 {list sismember $key [any_member]}
        10 {concat smismember $key [any_members]}
        11 {list scard $key}
        12 {list smembers $key}
        13 - 14 {any_scan $key}
        15 {if {[chance 30]} {any_pop $key} else {list scard $key}}
        16 {list srandmember $key [pick {0 1 2 5 100000 -1 -7 abc {} -9223372036854775808}]}
        17 - 18 - 19 {concat [pick {sinter sunion sdiff}] [any_keys]}
        20 - 21 - 22 {concat [pick {sinterstore sunionstore sdiffstore}] $key [any_keys]}
        23 {pick [list [list del $key] [list rename $key [any_key]] [list exists $key] \
            [list copy $key [any_key] replace] [list set $key x] [list lpush $key x] \
            [list pexpire $key 7000000] [list persist $key] [list touch $key] [list unlink $key]]}
    }]
}

tags {sets slow} {
    start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
        test {set commands and their NUMA twins answer the same, whatever comes} {
            compare_operations numa-sets set {smembers <key>}
        }

        test {and nothing was caught or lost on the way} {
            assert_all_blocks_back
        }
    }
}
