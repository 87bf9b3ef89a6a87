# Each sorted-set command against its NUMA twin; see support/twins.tcl.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support twins.tcl]

proc any_member {} {
    switch [upto 14] {
        0 {return {}}
        1 {return [any_bytes 20]}
        2 {return [string repeat [pick {ab xyz \x00}] [upto 60]]}
        3 - 4 {return [upto 400]}
        5 {return m[upto 400]}
        default {return [pick {a b c d e f g h foo bar}]}
    }
}

proc any_score {} {
    switch [upto 14] {
        0 {return [pick {inf -inf +inf nan abc {} { 1} 0x10 1e400 1e-400 -0 0 1.5e300 -1.5e300}]}
        1 {return [expr {[upto 20000] / 100.0 - 100}]}
        2 {return [pick {0.1 0.2 1e17 9007199254740993 123456789012345678 4.9e-324 -1e-10}]}
        default {return [expr {[upto 20] - 10}]}
    }
}

proc any_pairs {} {
    set pairs [list [any_score] [any_member]]
    for {set more [upto 5]} {$more > 0} {incr more -1} {lappend pairs [any_score] [any_member]}
    if {[chance 3]} {
        for {set more [upto 200]} {$more > 0} {incr more -1} {
            lappend pairs [expr {[upto 40] - 20}] m[upto 400]
        }
    }
    return $pairs
}

proc any_zadd {key} {
    set words [list zadd $key]
    foreach {option percent} {nx 15 xx 15 gt 12 lt 12 ch 25 incr 12} {
        if {[chance $percent]} {lappend words [any_case $option]}
    }
    if {[chance 12]} {return [concat $words [any_score] [list [any_member]]]}
    return [concat $words [any_pairs]]
}

proc any_index {} {
    switch [upto 20] {
        0 {return [pick {abc {} 1.5 9223372036854775808 { 1} 01}]}
        1 {return [pick {9223372036854775807 -9223372036854775808 4294967296}]}
        default {return [expr {[upto 40] - 20}]}
    }
}

proc any_bound {} {
    set bound [pick [list [expr {[upto 20] - 10}] [any_score] -inf +inf inf]]
    if {[chance 30]} {return ($bound}
    return $bound
}

proc any_lex_bound {} {
    switch [upto 10] {
        0 {return [pick {+ - +x -x a {} ( \[}]}
        1 - 2 {return -}
        3 - 4 {return +}
        default {return [pick {[ (}][any_member]}
    }
}

proc any_limit {} {
    if {[chance 60]} {return {}}
    return [list [any_case limit] [pick {0 1 2 -1 5 100 abc}] [pick {0 1 2 -1 5 -5 100}]]
}

proc with_scores {percent} {
    if {[chance $percent]} {return [list [any_case withscores]]}
    return {}
}

proc any_range {key} {
    switch [upto 5] {
        0 {concat [pick {zrange zrevrange}] $key [any_index] [any_index] [with_scores 40]}
        1 {concat [pick {zrangebyscore zrevrangebyscore}] $key [list [any_bound] [any_bound]] \
            [with_scores 40] [any_limit]}
        2 {concat [pick {zrangebylex zrevrangebylex}] [lex_key] \
            [list [any_lex_bound] [any_lex_bound]] [any_limit]}
        3 {any_unified zrange $key {}}
        4 {any_unified zrangestore $key [list [any_key]]}
    }
}

# ZRANGE and ZRANGESTORE with their options.
proc any_unified {command key target} {
    set words [switch [upto 3] {
        0 {list $key [any_index] [any_index]}
        1 {list $key [any_bound] [any_bound] [any_case byscore]}
        2 {list [lex_key] [any_lex_bound] [any_lex_bound] [any_case bylex]}
    }]
    if {[chance 30]} {lappend words [any_case rev]}
    if {[chance 3]} {lappend words [pick {bogus rev bylex byscore}]}
    concat $command $target $words [any_limit] [with_scores 20]
}

# Elements of one score: a range of members means nothing elsewhere.
proc lex_key {} {return <key>:lex}

proc any_algebra {} {
    set store [chance 50]
    set command [pick {zunion zinter zdiff}]
    set count [expr {1 + [upto 3]}]
    set words [list $count]
    if {[chance 3]} {set words [list [pick {0 -1 abc 100 {}}]]}
    for {set i 0} {$i < $count} {incr i} {lappend words [pick [list [any_key] <key>:set [any_key]]]}
    if {[chance 40]} {
        lappend words [any_case weights]
        for {set i 0} {$i < $count} {incr i} {lappend words [pick [list 1 2 -1 0 0.5 [any_score]]]}
    }
    if {[chance 40]} {lappend words [any_case aggregate] [pick {sum min MAX Sum bogus}]}
    if {$store} {return [concat ${command}store [any_key] $words]}
    concat $command $words [with_scores 50]
}

proc any_operation {} {
    set key [any_key]
    with_wrong_arity [switch [upto 30] {
        0 - 1 - 2 - 3 - 4 - 5 {any_zadd $key}
        6 {list zadd [lex_key] 0 [any_member] 0 [any_member]}
        7 {list zincrby $key [any_score] [any_member]}
        8 - 9 {list zrem $key [any_member] [any_member]}
        10 {list zremrangebyscore $key [any_bound] [any_bound]}
        11 {list zremrangebyrank $key [any_index] [any_index]}
        12 {list zremrangebylex [lex_key] [any_lex_bound] [any_lex_bound]}
        13 {list zcount $key [any_bound] [any_bound]}
        14 {list zlexcount [lex_key] [any_lex_bound] [any_lex_bound]}
        15 {list [pick {zrank zrevrank zscore}] $key [any_member]}
        16 {list zmscore $key [any_member] [any_member]}
        17 {list zcard $key}
        18 - 19 - 20 - 21 {any_range $key}
        22 - 23 - 24 {any_algebra}
        25 {concat [pick {zpopmin zpopmax}] $key [pick [list {} {} [any_index]]]}
        26 {pick [list [list bzpopmin $key [any_key] 0.01] [list bzpopmax $key 0.01] \
            [list bzpopmin $key [pick {-1 abc {}}]]]}
        27 {pick [list [list del $key] [list rename $key [any_key]] [list exists $key] \
            [list copy $key [any_key] replace] [list set $key x] [list unlink $key] \
            [list pexpire $key 7000000] [list persist $key] [list touch $key] \
            [list sadd <key>:set [any_member] [any_member]] [list del <key>:set] [list del [lex_key]]]}
        28 {list zrandmember $key [pick {0 abc -9223372036854775808 {} 1.5}]}
        29 {list zscan $key [pick {abc -1x { 1} 18446744073709551616}]}
    }]
}

tags {zsets slow} {
    start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
        test {sorted-set commands and their NUMA twins answer the same, whatever comes} {
            compare_operations numa-zset zset {zrange <key> 0 -1 withscores}
        }

        test {and nothing was caught or lost on the way} {
            assert_all_blocks_back
        }
    }
}
