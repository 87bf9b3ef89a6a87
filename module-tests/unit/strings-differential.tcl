# Each string command and each bit command against its NUMA twin; see support/twins.tcl.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support twins.tcl]
source [file join [file dirname [info script]] .. support bits.tcl]

set ::twins_keys 24
set ::twins_plain {
    del unlink persist pexpire exists rename copy renamenx lpush hset touch type
}

proc any_number {} {
    switch [upto 6] {
        0 {return [expr {[upto 2000] - 1000}]}
        1 {return [pick {0 1 -1 9223372036854775807 -9223372036854775808 9223372036854775806}]}
        2 {return [pick {9223372036854775808 -9223372036854775809 18446744073709551616}]}
        3 {return [pick {{} abc 1.5 { 1} {1 } +1 01 -0 0x10 1e3 - 12345678901234567890123}]}
        default {return [upto 100]}
    }
}

proc any_float {} {
    switch [upto 5] {
        0 {return [expr {[upto 20000] / 100.0 - 100}]}
        1 {return [pick {inf -inf nan 1e5000 1e4932 1e-4951 {} abc {1 } { 1} 0x10 1e3 -0 1.1.1}]}
        2 {return [pick {0.1 0.2 1e17 -1e17 3.0e3 123456789012345678 1e300 1e-20 9007199254740993}]}
        default {return [expr {[upto 100] - 50}]}
    }
}

proc any_value {} {
    switch [upto 10] {
        0 {return {}}
        1 - 2 {return [any_number]}
        3 {return [any_float]}
        4 - 5 {return [any_bytes 40]}
        6 {return [string repeat [pick {ab xyz \x00 redis}] [upto 200]]}
        7 {return [string repeat [any_bytes 8] [upto 900]]}
        default {return [pick {foo bar 10 100 hello 1.5 abcabba cbabac}]}
    }
}

proc any_index {} {
    switch [upto 8] {
        0 {return [any_number]}
        1 {return [pick {4294967297 -4294967297 9223372036854775807 -9223372036854775808}]}
        default {return [expr {[upto 60] - 30}]}
    }
}

# A deadline for the option `unit`: far off, so that both keys of an operation are alive together.
proc any_deadline {unit} {
    if {[chance 8]} {return [pick {0 -1 9223372036854775807 -9223372036854775808 abc {} 1.0}]}
    if {[chance 4]} {return 9223372036854775}
    if {[chance 4]} {return 9223372036854774}
    set seconds [pick {200 1000 5000 100000 10000000}]
    switch $unit {
        ex {return $seconds}
        px {return [expr {$seconds * 1000 + [upto 1000]}]}
        exat {if {[chance 10]} {return 1}; return [expr {[clock seconds] + $seconds}]}
        pxat {if {[chance 10]} {return 1}; return [expr {([clock seconds] + $seconds) * 1000}]}
    }
}

proc any_expiry {} {
    set unit [pick {ex px exat pxat}]
    set words [list [any_case $unit]]
    if {![chance 3]} {lappend words [any_deadline $unit]}
    return $words
}

proc any_set {} {
    set words [list set [any_key] [any_value]]
    if {[chance 30]} {lappend words [any_case [pick {nx xx}]]}
    if {[chance 25]} {lappend words [any_case get]}
    if {[chance 15]} {lappend words [any_case keepttl]}
    if {[chance 40]} {lappend words {*}[any_expiry]}
    if {[chance 8]} {lappend words {*}[pick {nx xx get keepttl persist bogus {} {ex 100} {px 200000}}]}
    return $words
}

proc any_getex {} {
    set words [list getex [any_key]]
    if {[chance 60]} {lappend words {*}[any_expiry]}
    if {[chance 30]} {lappend words [any_case persist]}
    if {[chance 8]} {lappend words {*}[pick {nx get keepttl bogus persist {ex 100} {px 200000}}]}
    return $words
}

proc any_pairs {command} {
    set words [list $command]
    for {set pairs [expr {1 + [upto 4]}]} {$pairs > 0} {incr pairs -1} {
        lappend words [any_key] [any_value]
    }
    if {[chance 8]} {lappend words [any_key]}
    return $words
}

proc any_lcs {} {
    set words [list stralgo [any_case [pick {lcs lcs lcs lcs lcs lcs lcs lcs lcs bogus}]]]
    foreach {option percent} {idx 50 len 30 withmatchlen 40} {
        if {[chance $percent]} {lappend words [any_case $option]}
    }
    if {[chance 30]} {lappend words minmatchlen [pick {0 1 2 4 -1 100 abc 9223372036854775807}]}
    set sources [list [list keys [any_key] [any_key]] \
        [list strings [pick {abcabba ohmytext {}}] [pick {cbabac mynewtext {}}]]]
    lappend words {*}[pick $sources]
    if {[chance 5]} {lappend words {*}[pick $sources]}
    if {[chance 5]} {set words [lrange $words 0 end-1]}
    return $words
}

proc any_operation {} {
    if {[chance 20]} {return [any_bit_operation]}
    set key [any_key]
    set words [switch [upto 30] {
        0 - 1 - 2 {any_set}
        3 - 4 {list get $key}
        5 {list setnx $key [any_value]}
        6 {list setex $key [any_deadline ex] [any_value]}
        7 {list psetex $key [any_deadline px] [any_value]}
        8 {list getset $key [any_value]}
        9 {list getdel $key}
        10 - 11 {any_getex}
        12 {concat mget $key [any_key] [any_key]}
        13 {any_pairs mset}
        14 {any_pairs msetnx}
        15 - 16 {list append $key [any_value]}
        17 {list strlen $key}
        18 {list [pick {getrange substr}] $key [any_index] [any_index]}
        19 - 20 {list setrange $key [any_index] [any_value]}
        21 {list [pick {incr decr}] $key}
        22 - 23 {list [pick {incrby decrby}] $key [any_number]}
        24 - 25 {list incrbyfloat $key [any_float]}
        26 {any_lcs}
        27 {any_common $key}
        28 {any_common $key}
        29 {list [pick {get strlen incr append getdel set setrange}] $key}
    }]
    # Now and then words too many or too few; those too many must not be taken for keys.
    if {[lindex $words 0] ni {mget mset msetnx del unlink exists touch}} {
        if {[chance 2]} {lappend words extra}
        if {[chance 1]} {lappend words extra words}
    }
    if {[chance 2]} {set words [lrange $words 0 end-1]}
    return $words
}

# Commands for every type, which must treat the twin as they treat a stock string, and keys of
# another type, which both must refuse.
proc any_common {key} {
    switch [upto 12] {
        0 - 1 {list del $key}
        2 {list unlink $key [any_key]}
        3 {list persist $key}
        4 {list pexpire $key [pick {300000 7000000 -1}]}
        5 {list exists $key [any_key]}
        6 {list rename $key [any_key]}
        7 {list copy $key [any_key] replace}
        8 {list renamenx $key [any_key]}
        9 {list lpush $key x}
        10 {list hset $key field value}
        11 {list touch $key [any_key]}
    }
}

# The twin is told a node now and then, where it takes one: that must not change what is answered.
proc twins_hint {words} {
    if {[chance 80]} {return $words}
    set full {setnx 3 setex 4 psetex 4 getset 3 append 3 setrange 4}
    set command [string tolower [lindex $words 0]]
    set hint [list [any_case node] [upto 3]]
    if {$command eq {set} && [llength $words] >= 3} {return [linsert $words 3 {*}$hint]}
    if {[dict exists $full $command] && [dict get $full $command] == [llength $words]} {
        return [concat $words $hint]
    }
    return $words
}

tags {strings slow} {
    start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
        test {string commands and their NUMA twins answer the same, whatever comes} {
            compare_operations numa-strg string {get <key>}
        }

        test {and nothing was caught or lost on the way} {
            assert_morethan [numa_info numa_migrations] 100
            assert_all_blocks_back
        }
    }
}
